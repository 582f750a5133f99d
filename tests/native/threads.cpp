// Several threads step at once, each its own arrays, with more workers than CPUs. Every result must be that of one
// thread alone. Made for ThreadSanitizer, which sees what a comparison of bits does not.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>
#include <vector>

#include "engine/dispatch.hpp"
#include "engine/parallel.hpp"
#include "engine/whole_step.hpp"

namespace {

constexpr std::size_t length = 130 * pyadam::tile_elements + 3;
constexpr int callers = 3;
constexpr int steps = 10;

std::vector<float> train(std::size_t rule) {
  const pyadam::RuleEntry& entry = pyadam::active_kernels().rules[rule];
  std::vector<float> p(length, 1.0F), g(length);
  std::vector<std::vector<float>> state(entry.states, std::vector<float>(length));
  for (std::size_t i = 0; i < length; ++i) g[i] = static_cast<float>(i % 17) - 8.0F;

  pyadam::Plan plan{};
  plan.rule = rule;
  plan.gradient_factor = 1;
  plan.clip_value = std::numeric_limits<double>::infinity();
  plan.decay = 0.999;
  for (std::size_t i = 0; i < entry.scalars; ++i) plan.scalars[i] = 0.9 / static_cast<double>(i + 1);

  pyadam::Task task{};
  task.param = p.data();
  task.grad = g.data();
  for (std::size_t s = 0; s < entry.states; ++s) task.state[s] = state[s].data();
  task.size = length;
  task.param_dtype = pyadam::DType::float32;
  task.grad_dtype = pyadam::DType::float32;
  task.state_dtype = pyadam::DType::float32;
  task.trust_ratio = 1;
  pyadam::StepMemory memory;
  pyadam::StepOptions options;
  options.clip_norm = 1;
  for (int step = 0; step < steps; ++step) {
    std::vector<pyadam::Plan> plans{plan};
    std::vector<pyadam::Task> tasks{task};
    tasks[0].plan = plans.data();
    memory.reserve(tasks, options);
    pyadam::take_step(tasks, plans, options);
  }
  return p;
}

// A step with another number of threads than the last one finds a pool that must grow, or has more workers than it
// wants.
void change_threads(const std::atomic<bool>& stop) {
  for (int threads = 1; !stop; threads = threads % 6 + 1) {
    pyadam::set_num_threads(threads);
    std::this_thread::yield();
  }
}

// NaN is equal to NaN here.
bool is_same(const std::vector<float>& a, const std::vector<float>& b) {
  // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison)
  return std::memcmp(a.data(), b.data(), length * sizeof(float)) == 0;
}

}  // namespace

int main() {
  pyadam::set_min_share(1);
  int wrong = 0;
  const std::size_t rules = pyadam::active_kernels().rule_count;
  for (std::size_t rule = 0; rule < rules; ++rule) {
    pyadam::set_num_threads(1);
    const std::vector<float> expected = train(rule);
    std::atomic<bool> stop{false};
    std::thread changer(change_threads, std::cref(stop));
    std::vector<std::vector<float>> found(callers);
    std::vector<std::thread> threads;
    threads.reserve(callers);
    for (std::vector<float>& result : found) threads.emplace_back([&result, rule] { result = train(rule); });
    for (std::thread& thread : threads) thread.join();
    stop = true;
    changer.join();
    for (const std::vector<float>& result : found) wrong += is_same(result, expected) ? 0 : 1;
  }
  std::printf("%zu rules, %d callers at once, %d wrong results\n", rules, callers, wrong);
  return wrong == 0 ? 0 : 1;
}
