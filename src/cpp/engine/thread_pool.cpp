#include "engine/thread_pool.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace pyadam {
namespace {

// How often to look again, giving way to others, before going to sleep: about 0.1 ms. Steps that follow each other
// closely find the workers awake.
constexpr int looks_before_sleep = 500;

template <class Condition>
bool look_for(const Condition& condition) {
  for (int i = 0; i < looks_before_sleep; ++i) {
    if (condition()) return true;
    std::this_thread::yield();
  }
  return false;
}

// The CPU that this thread is on, or -1 where that cannot be told.
int this_cpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Leaves the CPU that the caller is on. Linux wakes a thread there if all other CPUs seem to be taken, as idle ones of
// a virtual machine do, and has no reason to move it later, since the caller goes on without it.
void step_aside([[maybe_unused]] int callers_cpu) {
#if defined(__linux__)
  if (this_cpu() != callers_cpu) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(callers_cpu, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  (void)sched_setaffinity(0, sizeof allowed, &allowed);
#endif
}

// Workers sleep between jobs and live until the process ends.
class ThreadPool {
 public:
  // False if another caller has the pool.
  bool run(int workers, const std::function<void(int)>& work) {
    const std::unique_lock<std::mutex> caller(caller_, std::try_to_lock);
    if (!caller.owns_lock()) return false;
    open(workers, work);
    work(0);
    close();
    return true;
  }

 private:
  void open(int workers, const std::function<void(int)>& work) {
    start_workers(workers);
    bool are_all_awake = false;
    {
      const std::lock_guard<std::mutex> lock(state_);
      work_ = &work;
      workers_ = workers;
      callers_cpu_ = this_cpu();
      are_all_awake = asleep_ == 0;
      job_.fetch_add(1, std::memory_order_release);
    }
    if (are_all_awake) return;
    wake_.notify_all();
    std::this_thread::yield();  // lets those step aside that wake here
  }

  // Who has not joined the job by now never will; waits for those who have.
  void close() {
    {
      const std::lock_guard<std::mutex> lock(state_);
      work_ = nullptr;
    }
    if (look_for([this] { return joined_.load(std::memory_order_acquire) == 0; })) return;
    std::unique_lock<std::mutex> lock(state_);
    done_.wait(lock, [this] { return joined_.load(std::memory_order_acquire) == 0; });
  }

  void start_workers(int workers) {
    try {
      for (; started_ < workers - 1; ++started_) {
        std::thread([this, index = started_ + 1] { serve(index); }).detach();
      }
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
      // The system has no more threads: those that are there do the work.
    }
  }

  void serve(int index) {
    std::uint64_t last_job = 0;
    for (;;) {
      const auto is_new = [&] { return job_.load(std::memory_order_acquire) != last_job; };
      const bool is_awake = look_for(is_new);
      std::unique_lock<std::mutex> lock(state_);
      if (!is_awake) {
        ++asleep_;
        wake_.wait(lock, is_new);
        --asleep_;
        const int callers_cpu = callers_cpu_;
        lock.unlock();
        step_aside(callers_cpu);
        lock.lock();
      }
      last_job = job_.load(std::memory_order_relaxed);
      if (work_ == nullptr || index >= workers_) continue;
      const std::function<void(int)>& work = *work_;
      joined_.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      work(index);
      lock.lock();
      if (joined_.fetch_sub(1, std::memory_order_release) == 1) done_.notify_one();
    }
  }

  std::mutex caller_;
  int started_ = 0;  // guarded by caller_

  std::mutex state_;
  std::condition_variable wake_;
  std::condition_variable done_;
  const std::function<void(int)>* work_ = nullptr;  // guarded by state_, as are the next three
  int workers_ = 0;
  int callers_cpu_ = -1;
  int asleep_ = 0;
  std::atomic<std::uint64_t> job_{0};  // written under state_, as is joined_
  std::atomic<int> joined_{0};
};

// Never destroyed, since its workers may be running until the very end of the process. A forked child has none of the
// workers, and locks in whatever state they were: it leaves the pool behind and makes another.
std::atomic<ThreadPool*> pool{nullptr};

#if defined(__unix__) || defined(__APPLE__)
[[maybe_unused]] const int fork_handler_installed = pthread_atfork(nullptr, nullptr, [] { pool = nullptr; });
#endif

ThreadPool& the_pool() {
  ThreadPool* current = pool.load(std::memory_order_acquire);
  if (current == nullptr) {
    auto* made = new ThreadPool;
    if (pool.compare_exchange_strong(current, made, std::memory_order_acq_rel)) return *made;
    delete made;  // another thread was first, and this pool has no workers yet
  }
  return *current;
}

std::atomic<HostParallel> host_parallel{nullptr};
std::atomic<HostThreadNumber> host_thread_number{nullptr};

#if defined(__unix__) || defined(__APPLE__)
// The host's threads are not in a forked child either, and GNU OpenMP would wait for them for ever.
[[maybe_unused]] const int host_fork_handler_installed =
    pthread_atfork(nullptr, nullptr, [] { host_parallel = nullptr; });
#endif

void work_on_host(void* work) { (*static_cast<const std::function<void(int)>*>(work))(host_thread_number.load()()); }

}  // namespace

void use_host_threads(HostParallel parallel, HostThreadNumber thread_number) {
  host_thread_number = thread_number;
  host_parallel = parallel;
}

void run_in_parallel(int workers, const std::function<void(int)>& work) {
  const HostParallel parallel = workers > 1 ? host_parallel.load() : nullptr;
  if (parallel != nullptr) {
    auto* argument = const_cast<std::function<void(int)>*>(&work);
    parallel(work_on_host, argument, static_cast<unsigned>(workers), 0);
    return;
  }
  if (workers == 1 || !the_pool().run(workers, work)) work(0);
}

}  // namespace pyadam
