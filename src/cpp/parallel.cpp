#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "dispatch.hpp"

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

void update(const Task& task, std::size_t begin, std::size_t end) {
  const RuleEntry& rule = active_kernels().rules[task.plan->rule];
  (task.param_dtype == DType::float64 ? rule.float64 : rule.float32)(task, begin, end);
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

void run_share(const std::vector<Task>& tasks, int index, int count) {
  const Cut begin = cut_at(tasks, static_cast<std::size_t>(index), static_cast<std::size_t>(count));
  const Cut end = cut_at(tasks, static_cast<std::size_t>(index) + 1, static_cast<std::size_t>(count));
  for (std::size_t i = begin.task; i < tasks.size() && i <= end.task; ++i) {
    const std::size_t first = i == begin.task ? begin.element : 0;
    const std::size_t last = i == end.task ? end.element : tasks[i].size;
    if (first < last) update(tasks[i], first, last);
  }
}

void run_on_plain_threads(const std::vector<Task>& tasks, int count) {
  std::vector<std::thread> threads;
  int started = 1;
  try {
    threads.reserve(static_cast<std::size_t>(count));
    for (; started < count; ++started) {
      threads.emplace_back([&tasks, started, count] { run_share(tasks, started, count); });
    }
  } catch (const std::exception&) {
    // No more threads or memory to be had: the caller does the shares that found none.
  }
  run_share(tasks, 0, count);
  for (int index = started; index < count; ++index) run_share(tasks, index, count);
  for (std::thread& thread : threads) thread.join();
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

bool is_parallel(std::size_t elements) { return threads_for(elements) > 1; }

void run(const std::vector<Task>& tasks) noexcept {
  const int threads = threads_for(elements_of(tasks));
  if (threads == 1) {
    for (const Task& task : tasks) update(task, 0, task.size);
    return;
  }
#if defined(_OPENMP)
  if (openmp_usable) {
#pragma omp parallel num_threads(threads)
    run_share(tasks, omp_get_thread_num(), omp_get_num_threads());
    return;
  }
#endif
  run_on_plain_threads(tasks, threads);
}

}  // namespace pyadam
