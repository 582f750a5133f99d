#include "engine/parallel.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "engine/dispatch.hpp"
#include "engine/float_mode.hpp"
#include "engine/thread_pool.hpp"

namespace pyadam {
namespace {

std::atomic<int> num_threads{1};
std::atomic<std::size_t> min_share{16 * tile_elements};

int threads_for(std::size_t elements) {
  const std::size_t shares = std::max<std::size_t>(elements / min_share, 1);
  return static_cast<int>(std::min<std::size_t>(shares, static_cast<std::size_t>(num_threads)));
}

// Of a task that is a block of new memory, its `param`.
void zero_new(const Task& task, std::size_t begin, std::size_t end) {
  const std::size_t unit = itemsize(task.param_dtype);
  std::byte* memory = static_cast<std::byte*>(task.param) + begin * unit;
  const std::size_t bytes = (end - begin) * unit;
  if (bytes == 0) return;  // its address may be null
  if (task.size * unit >= large_memory) populate(memory, bytes);
  std::memset(memory, 0, bytes);
}

void work_on(Pass pass, const Task& task, std::size_t begin, std::size_t end) {
  const KernelTable& kernels = active_kernels();
  switch (pass) {
    case Pass::sum_squares:
      return kernels.sum_squares(task, begin, end);
    case Pass::accumulate:
      return kernels.accumulate(task, begin, end);
    case Pass::zero_grad:
      return kernels.zero_grad(task, begin, end);
    case Pass::zero_new:
      return zero_new(task, begin, end);
    case Pass::measure:
      if (has_two_passes(task)) kernel_of(task).measure(task, begin, end);
      return;
    case Pass::update:
      return kernel_of(task).update(task, begin, end);
  }
}

// A place in the work: an element of a task.
struct Cut {
  std::size_t task;
  std::size_t element;
};

// Where share `index` of `count` begins: near index/count of all elements, at a tile border of its task.
Cut cut_at(const std::vector<Task>& tasks, std::size_t index, std::size_t count) {
  if (index == count) return {tasks.size(), 0};
  const std::size_t elements = elements_of(tasks);
  const std::size_t position = elements / count * index + elements % count * index / count;
  const auto after = std::upper_bound(tasks.begin(), tasks.end(), position,
                                      [](std::size_t value, const Task& task) { return value < task.first; });
  const auto task = static_cast<std::size_t>(after - tasks.begin()) - 1;
  return {task, (position - tasks[task].first) / tile_elements * tile_elements};
}

// Whether a pass goes from the last share to the first. One that is followed by an update does: what it read last is
// still in the caches, and the update begins with it.
bool is_backwards(Pass pass) { return pass == Pass::sum_squares || pass == Pass::measure; }

// Does share `index` of `count`.
void run_share(Pass pass, const std::vector<Task>& tasks, std::size_t index, std::size_t count) {
  const Cut begin = cut_at(tasks, index, count);
  const Cut end = cut_at(tasks, index + 1, count);
  for (std::size_t i = begin.task; i < tasks.size() && i <= end.task; ++i) {
    const std::size_t first = i == begin.task ? begin.element : 0;
    const std::size_t last = i == end.task ? end.element : tasks[i].size;
    if (first < last) work_on(pass, tasks[i], first, last);
  }
}

// The shares of a pass, handed out to workers. Each has a run of neighbouring shares of its own, the same in every
// step, so that it finds its state in its own caches and NUMA node; who is done helps the others, so that a worker
// which the system has put to sleep does not keep all waiting.
class Shares {
 public:
  Shares(Pass pass, const std::vector<Task>& tasks, int workers, bool flush_denormals)
      : pass_(pass), tasks_(tasks), workers_(workers), flush_denormals_(flush_denormals) {
    const auto count = static_cast<std::size_t>(workers);
    shares_ = std::max(count, elements_of(tasks) / share_elements(pass));
    for (std::size_t i = 0; i < count; ++i) {
      queues_[i].begin = shares_ * i / count;
      queues_[i].end = shares_ * (i + 1) / count;
      queues_[i].taken = 0;
    }
  }

  void work(int worker) {
    const FloatMode mode(flush_denormals_);
    for (int i = 0; i < workers_; ++i) {
      Queue& queue = queues_[static_cast<std::size_t>((worker + i) % workers_)];
      const std::size_t count = queue.end - queue.begin;
      for (std::size_t taken; (taken = queue.taken++) < count;) {
        const std::size_t share = is_backwards(pass_) ? queue.end - 1 - taken : queue.begin + taken;
        run_share(pass_, tasks_, share, shares_);
      }
    }
  }

 private:
  // Larger shares leave more to wait for at the end, smaller ones cost more to hand out and to begin. The norm reads a
  // seventh of the bytes that Adam's update moves.
  static constexpr std::size_t share_elements(Pass pass) {
    return (pass == Pass::sum_squares ? 512 : 64) * tile_elements;
  }

  struct alignas(64) Queue {  // a cache line each, since workers write to them
    std::atomic<std::size_t> taken;
    std::size_t begin;
    std::size_t end;
  };

  Pass pass_;
  const std::vector<Task>& tasks_;
  int workers_;
  bool flush_denormals_;
  std::size_t shares_;
  std::array<Queue, max_threads> queues_;
};

}  // namespace

void set_num_threads(int threads) { num_threads = threads; }
int get_num_threads() { return num_threads; }
void set_min_share(std::size_t elements) { min_share = elements; }
std::size_t get_min_share() { return min_share; }

std::size_t elements_of(const std::vector<Task>& tasks) {
  return tasks.empty() ? 0 : tasks.back().first + tasks.back().size;
}

const Kernel& kernel_of(const Task& task) {
  const RuleEntry& rule = active_kernels().rules[task.plan->rule];
  return task.param_dtype == DType::float64 ? rule.float64 : rule.float32;
}

bool has_two_passes(const Task& task) { return kernel_of(task).measure != nullptr; }

void run_pass(Pass pass, const std::vector<Task>& tasks, bool flush_denormals) noexcept {
  const int threads = threads_for(elements_of(tasks));
  if (threads == 1) {
    const FloatMode mode(flush_denormals);
    for (const Task& task : tasks) work_on(pass, task, 0, task.size);
    return;
  }
  Shares shares(pass, tasks, threads, flush_denormals);
  run_in_parallel(threads, [&shares](int worker) { shares.work(worker); });
}

void zero_new_memory(const std::vector<MemoryBlock>& blocks) {
  constexpr DType unit = DType::int16;
  std::vector<Task> tasks;
  tasks.reserve(blocks.size());
  std::size_t elements = 0;
  for (const MemoryBlock& block : blocks) {
    Task& task = tasks.emplace_back();
    task.param = block.data;
    task.param_dtype = unit;
    task.size = block.bytes / itemsize(unit);
    task.first = elements;
    elements += task.size;
  }
  run_pass(Pass::zero_new, tasks);
}

}  // namespace pyadam
