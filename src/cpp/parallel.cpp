#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "dispatch.hpp"
#include "norms.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace pyadam {
namespace {

std::atomic<int> num_threads{1};
std::atomic<std::size_t> min_share{16 * tile_elements};

// GNU OpenMP's threads do not survive fork(), and its next region in the child would wait for them for ever. A child
// therefore starts plain threads.
std::atomic<bool> openmp_usable{true};
#if defined(__unix__) || defined(__APPLE__)
const int fork_handler_installed = pthread_atfork(nullptr, nullptr, [] { openmp_usable = false; });
#endif

std::size_t elements_of(const std::vector<Task>& tasks) {
  return tasks.empty() ? 0 : tasks.back().first + tasks.back().size;
}

int threads_for(std::size_t elements) {
  const std::size_t shares = std::max<std::size_t>(elements / min_share, 1);
  return static_cast<int>(std::min<std::size_t>(shares, static_cast<std::size_t>(num_threads)));
}

const Kernel& kernel_of(const Task& task) {
  const RuleEntry& rule = active_kernels().rules[task.plan->rule];
  return task.param_dtype == DType::float64 ? rule.float64 : rule.float32;
}

enum class Pass { measure, update };

void work_on(Pass pass, const Task& task, std::size_t begin, std::size_t end) {
  const Kernel& kernel = kernel_of(task);
  if (pass == Pass::update) {
    kernel.update(task, begin, end);
  } else if (kernel.measure != nullptr) {
    kernel.measure(task, begin, end);
  }
}

// A place in the work: an element of a task.
struct Cut {
  std::size_t task;
  std::size_t element;
};

// Where the share of thread `index` of `count` begins: near index/count of all elements, at a tile border of its task.
Cut cut_at(const std::vector<Task>& tasks, std::size_t index, std::size_t count) {
  if (index == count) return {tasks.size(), 0};
  const std::size_t elements = elements_of(tasks);
  const std::size_t position = elements / count * index + elements % count * index / count;
  const auto after = std::upper_bound(tasks.begin(), tasks.end(), position,
                                      [](std::size_t value, const Task& task) { return value < task.first; });
  const auto task = static_cast<std::size_t>(after - tasks.begin()) - 1;
  return {task, (position - tasks[task].first) / tile_elements * tile_elements};
}

void run_share(Pass pass, const std::vector<Task>& tasks, int index, int count) {
  const Cut begin = cut_at(tasks, static_cast<std::size_t>(index), static_cast<std::size_t>(count));
  const Cut end = cut_at(tasks, static_cast<std::size_t>(index) + 1, static_cast<std::size_t>(count));
  for (std::size_t i = begin.task; i < tasks.size() && i <= end.task; ++i) {
    const std::size_t first = i == begin.task ? begin.element : 0;
    const std::size_t last = i == end.task ? end.element : tasks[i].size;
    if (first < last) work_on(pass, tasks[i], first, last);
  }
}

void run_on_plain_threads(Pass pass, const std::vector<Task>& tasks, int count) {
  std::vector<std::thread> threads;
  int started = 1;
  try {
    threads.reserve(static_cast<std::size_t>(count));
    for (; started < count; ++started) {
      threads.emplace_back([&tasks, pass, started, count] { run_share(pass, tasks, started, count); });
    }
  } catch (const std::exception&) {
    // No more threads or memory to be had: the caller does the shares that found none.
  }
  run_share(pass, tasks, 0, count);
  for (int index = started; index < count; ++index) run_share(pass, tasks, index, count);
  for (std::thread& thread : threads) thread.join();
}

void run_pass(Pass pass, const std::vector<Task>& tasks) {
  const int threads = threads_for(elements_of(tasks));
  if (threads == 1) {
    for (const Task& task : tasks) work_on(pass, task, 0, task.size);
    return;
  }
#if defined(_OPENMP)
  if (openmp_usable) {
#pragma omp parallel num_threads(threads)
    run_share(pass, tasks, omp_get_thread_num(), omp_get_num_threads());
    return;
  }
#endif
  run_on_plain_threads(pass, tasks, threads);
}

}  // namespace

void set_num_threads(int threads) { num_threads = threads; }
int get_num_threads() { return num_threads; }
void set_min_share(std::size_t elements) { min_share = elements; }
std::size_t get_min_share() { return min_share; }

std::string threading_layer() {
#if defined(_OPENMP)
  return "OpenMP " + std::to_string(_OPENMP);
#else
  return "std::thread";
#endif
}

bool has_two_passes(const Task& task) { return kernel_of(task).measure != nullptr; }

void run(std::vector<Task>& tasks) noexcept {
  if (std::any_of(tasks.begin(), tasks.end(), has_two_passes)) {
    run_pass(Pass::measure, tasks);
    for (Task& task : tasks) {
      if (has_two_passes(task)) task.trust_ratio = trust_ratio(task.norms, tiles(task.size));
    }
  }
  run_pass(Pass::update, tasks);
}

}  // namespace pyadam
