// Prints a hash of every rule's results, for each ISA that this CPU has: equal lines are equal bits. It needs no Python,
// so that it runs where only a compiler or an emulator is.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "dispatch.hpp"
#include "parallel.hpp"

namespace {

constexpr std::size_t length = 10 * pyadam::tile_elements + 3;
constexpr int steps = 50;

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

template <class T>
std::uint64_t hash(std::uint64_t seed, const std::vector<T>& values) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) seed = (seed ^ bytes[i]) * 1099511628211u;
  return seed;
}

template <class T>
std::uint64_t run_rule(const pyadam::RuleEntry& rule, std::size_t index, double l2) {
  Numbers numbers;
  std::vector<T> p(length), g(length);
  std::vector<std::vector<T>> state(rule.states, std::vector<T>(length));
  for (T& x : p) x = static_cast<T>(numbers.next());

  pyadam::Plan plan{};
  plan.rule = index;
  plan.gradient_sign = -1;
  plan.l2 = l2;
  plan.decay = 0.999;
  for (std::size_t i = 0; i < rule.scalars; ++i) plan.scalars[i] = 0.9 / static_cast<double>(i + 1);

  constexpr auto dtype = sizeof(T) == sizeof(float) ? pyadam::DType::float32 : pyadam::DType::float64;
  pyadam::Task task{p.data(), g.data(), {}, length, 0, dtype, dtype, &plan};
  for (std::size_t s = 0; s < rule.states; ++s) task.state[s] = state[s].data();
  for (int step = 0; step < steps; ++step) {
    for (T& x : g) x = static_cast<T>(numbers.next());
    pyadam::run({task});
  }
  std::uint64_t result = hash(14695981039346656037u, p);
  for (const std::vector<T>& s : state) result = hash(result, s);
  return result;
}

void print(const char* rule, const char* dtype, double l2, std::uint64_t value) {
  std::printf("%s %s l2=%g %016llx\n", rule, dtype, l2, static_cast<unsigned long long>(value));
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
      for (const double l2 : {0.0, 0.01}) {
        print(kernels.rules[i].name, "float32", l2, run_rule<float>(kernels.rules[i], i, l2));
        print(kernels.rules[i].name, "float64", l2, run_rule<double>(kernels.rules[i], i, l2));
      }
    }
  }
  return 0;
}
