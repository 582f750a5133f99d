// Prints a hash of every rule's results, for each ISA that this CPU has: equal lines are equal bits. It needs no
// Python, so that it runs where only a compiler or an emulator is.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/dispatch.hpp"
#include "engine/parallel.hpp"
#include "engine/whole_step.hpp"

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
  if constexpr (std::is_floating_point_v<T>) {
    std::replace_if(
        values.begin(), values.end(), [](T x) { return std::isnan(x); }, std::numeric_limits<T>::quiet_NaN());
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) seed = (seed ^ bytes[i]) * 1099511628211u;
  return seed;
}

enum class Stages { none, all };

// What surrounds the rules: the plan's numbers of a group.
pyadam::Plan plan_of(const pyadam::RuleEntry& rule, std::size_t index, Stages stages) {
  const bool has_stages = stages == Stages::all;
  pyadam::Plan plan{};
  plan.rule = index;
  plan.gradient_factor = -1;
  plan.clip_value = has_stages ? 4.0 : std::numeric_limits<double>::infinity();
  plan.l2 = has_stages ? 0.01 : 0;
  plan.l1 = has_stages ? 0.001 : 0;
  plan.decay = 0.999;
  plan.ema_rate = 0.1;
  plan.random_key = 7;
  for (std::size_t i = 0; i < rule.scalars; ++i) plan.scalars[i] = 0.9 / static_cast<double>(i + 1);
  return plan;
}

// Takes steps of a task, whose gradients are clipped and zeroed if there are stages.
template <class G>
void take_steps(const pyadam::Task& task, const pyadam::Plan& plan, std::vector<G>& g, Stages stages) {
  Numbers numbers;
  pyadam::StepMemory memory;
  pyadam::StepOptions options;
  if (stages == Stages::all) options.clip_norm = 10;
  for (int step = 0; step < steps; ++step) {
    for (G& x : g) x = static_cast<G>(numbers.next());
    std::vector<pyadam::Plan> plans{plan};
    std::vector<pyadam::Task> tasks{task};
    tasks[0].plan = plans.data();
    memory.reserve(tasks, options);
    pyadam::take_step(tasks, plans, options);
  }
}

template <class T>
std::uint64_t run_native(const pyadam::RuleEntry& rule, std::size_t index, Stages stages) {
  Numbers numbers;
  std::vector<T> p(length), g(length), ema(length);
  std::vector<std::vector<T>> state(rule.states, std::vector<T>(length));
  for (T& x : p) x = static_cast<T>(numbers.next());
  const pyadam::Box box{-50, 25, nullptr, nullptr};

  pyadam::Task task{};
  task.param = p.data();
  task.grad = g.data();
  for (std::size_t s = 0; s < rule.states; ++s) task.state[s] = state[s].data();
  task.size = length;
  task.param_dtype = sizeof(T) == sizeof(float) ? pyadam::DType::float32 : pyadam::DType::float64;
  task.grad_dtype = task.param_dtype;
  task.state_dtype = task.param_dtype;
  task.trust_ratio = 1;
  if (stages == Stages::all) {
    task.box = &box;
    task.ema = ema.data();
    task.zeroes_grad = true;
  }
  take_steps(task, plan_of(rule, index, stages), g, stages);
  std::uint64_t result = hash(hash(14695981039346656037u, p), ema);
  for (const std::vector<T>& s : state) result = hash(result, s);
  return result;
}

// As `hash`, of numbers of 16 bits.
std::uint64_t hash_of_half(std::uint64_t seed, std::vector<std::uint16_t> values, pyadam::DType dtype) {
  const std::uint16_t infinity = dtype == pyadam::DType::bfloat16 ? 0x7f80 : 0x7c00;
  std::replace_if(values.begin(), values.end(), [&](std::uint16_t x) { return (x & 0x7fff) > infinity; }, 0x7fff);
  return hash(seed, values);
}

// bfloat16 numbers of all sizes, and state in bfloat16.
std::uint64_t run_low_precision(const pyadam::RuleEntry& rule, std::size_t index, pyadam::Storage storage,
                                pyadam::DType dtype) {
  Numbers numbers;
  std::vector<std::uint16_t> p(length);
  std::vector<std::vector<std::uint16_t>> state(rule.states, std::vector<std::uint16_t>(length));
  std::vector<float> g(length), kept(length);
  for (std::uint16_t& x : p) x = static_cast<std::uint16_t>(0x3000 + static_cast<int>(numbers.next() * 8000) % 0x800);

  pyadam::Task task{};
  task.param = p.data();
  task.grad = g.data();
  for (std::size_t s = 0; s < rule.states; ++s) task.state[s] = state[s].data();
  task.master = kept.data();
  task.size = length;
  task.param_dtype = dtype;
  task.grad_dtype = pyadam::DType::float32;
  task.state_dtype = pyadam::DType::bfloat16;
  task.param_storage = storage;
  task.random_offset = (std::uint64_t{1} << 32) - pyadam::tile_elements - 7;
  task.trust_ratio = 1;
  take_steps(task, plan_of(rule, index, Stages::none), g, Stages::none);
  std::uint64_t result = hash_of_half(14695981039346656037u, p, dtype);
  for (const std::vector<std::uint16_t>& s : state) result = hash_of_half(result, s, pyadam::DType::bfloat16);
  return result;
}

void print(const char* rule, const char* what, std::uint64_t value) {
  std::printf("%s %s %016llx\n", rule, what, static_cast<unsigned long long>(value));
}

void print_all(const pyadam::RuleEntry& rule, std::size_t index) {
  using pyadam::DType;
  using pyadam::Storage;
  print(rule.name, "float32", run_native<float>(rule, index, Stages::none));
  print(rule.name, "float64", run_native<double>(rule, index, Stages::none));
  print(rule.name, "float32 with all stages", run_native<float>(rule, index, Stages::all));
  print(rule.name, "float64 with all stages", run_native<double>(rule, index, Stages::all));
  print(rule.name, "bfloat16 split", run_low_precision(rule, index, Storage::split, DType::bfloat16));
  print(rule.name, "bfloat16 stochastic", run_low_precision(rule, index, Storage::stochastic, DType::bfloat16));
  print(rule.name, "float16 stochastic", run_low_precision(rule, index, Storage::stochastic, DType::float16));
  print(rule.name, "float16 nearest", run_low_precision(rule, index, Storage::nearest, DType::float16));
  print(rule.name, "float16 with master", run_low_precision(rule, index, Storage::float32_master, DType::float16));
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
    for (std::size_t i = 0; i < kernels.rule_count; ++i) print_all(kernels.rules[i], i);
  }
  return 0;
}
