// Prints a hash of every rule's results, for each ISA that this CPU has: equal lines are equal bits. It needs no
// Python, so that it runs where only a compiler or an emulator is.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "parallel.hpp"

namespace {

constexpr std::size_t length = 3 * pyadam::tile_elements + 3;
constexpr int steps = 20;

// Numbers of very different sizes, both signs, from a linear congruential generator.
class Numbers {
 public:
  double next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    const double unit = static_cast<double>(state_ >> 11) * 0x1p-53;
    return std::ldexp(unit - 0.5, static_cast<int>(state_ % 40) - 30);
  }

 private:
  std::uint64_t state_ = 1;
};

// Every NaN counts as the same one: its sign and payload are the processor's choice.
template <class T>
std::uint64_t hash(std::uint64_t seed, std::vector<T> values) {
  std::replace_if(values.begin(), values.end(), [](T x) { return std::isnan(x); }, std::numeric_limits<T>::quiet_NaN());
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) seed = (seed ^ bytes[i]) * 1099511628211u;
  return seed;
}

template <class T>
std::uint64_t run_rule(const pyadam::RuleEntry& rule, std::size_t index, bool has_stages) {
  Numbers numbers;
  std::vector<T> p(length), g(length);
  std::vector<std::vector<T>> state(rule.states, std::vector<T>(length));
  std::vector<pyadam::Norms> norms(pyadam::tiles(length));
  for (T& x : p) x = static_cast<T>(numbers.next());

  pyadam::Plan plan{};
  plan.rule = index;
  plan.gradient_sign = -1;
  plan.l2 = has_stages ? 0.01 : 0;
  plan.l1 = has_stages ? 0.001 : 0;
  plan.decay = 0.999;
  for (std::size_t i = 0; i < rule.scalars; ++i) plan.scalars[i] = 0.9 / static_cast<double>(i + 1);
  const pyadam::Bounds bounds{-50, 25, nullptr, nullptr};

  pyadam::Task task{};
  task.param = p.data();
  task.grad = g.data();
  for (std::size_t s = 0; s < rule.states; ++s) task.state[s] = state[s].data();
  task.size = length;
  task.param_dtype = sizeof(T) == sizeof(float) ? pyadam::DType::float32 : pyadam::DType::float64;
  task.grad_dtype = task.param_dtype;
  task.plan = &plan;
  task.bounds = has_stages ? &bounds : nullptr;
  task.norms = norms.data();
  task.trust_ratio = 1;
  for (int step = 0; step < steps; ++step) {
    for (T& x : g) x = static_cast<T>(numbers.next());
    std::vector<pyadam::Task> tasks{task};
    pyadam::run(tasks);
  }
  std::uint64_t result = hash(14695981039346656037u, p);
  for (const std::vector<T>& s : state) result = hash(result, s);
  return result;
}

void print(const char* rule, const char* dtype, bool has_stages, std::uint64_t value) {
  std::printf("%s %s %s %016llx\n", rule, dtype, has_stages ? "with l1, l2 and bounds" : "plain",
              static_cast<unsigned long long>(value));
}

}  // namespace

int main() {
  pyadam::set_min_share(1);
  int threads = 1;
  for (const std::string& isa : pyadam::available_isas()) {
    pyadam::select_isa(isa);
    pyadam::set_num_threads(threads++);
    std::printf("[%s]\n", isa.c_str());
    const pyadam::KernelTable& kernels = pyadam::active_kernels();
    for (std::size_t i = 0; i < kernels.rule_count; ++i) {
      for (const bool has_stages : {false, true}) {
        print(kernels.rules[i].name, "float32", has_stages, run_rule<float>(kernels.rules[i], i, has_stages));
        print(kernels.rules[i].name, "float64", has_stages, run_rule<double>(kernels.rules[i], i, has_stages));
      }
    }
  }
  return 0;
}
