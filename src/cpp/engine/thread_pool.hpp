// The only part that knows threads.
#pragma once

#include <functional>

namespace pyadam {

// More than any one machine has: a number beyond is a mistake, and the system may not have that many.
constexpr int max_threads = 1024;

// Calls work(0) on this thread and, at the same time, work(1) to work(workers - 1) on others, as far as others are
// there: a thread that cannot be started, that wakes only when work(0) has returned, or that is busy for another
// caller, is not waited for. So work(0) must be able to do everything, and each call whatever the others have left.
// Returns when no call is running any more. On a host's threads (below) the end waits for all of them.
//
// Why not OpenMP: the end of its regions waits for every thread of the team. Where the system wakes one late (it may
// put it on the core on which the caller spins), a step of 0.4 ms took 8 ms; and after a fork GNU OpenMP waits for
// ever. Threads here that wake on the caller's core go to another one.
void run_in_parallel(int workers, const std::function<void(int)>& work);

// The entry points of OpenMP's run time, by the names GOMP_parallel and omp_get_thread_num.
using HostParallel = void (*)(void (*work)(void*), void* argument, unsigned threads, unsigned flags);
using HostThreadNumber = int (*)();

// From now on the work is done by the threads of a run time that the process has already, because a library that is in
// use keeps them spinning between its own regions: others would have to share their cores with them, and a step that
// follows such a region would take as long as on one core. Null, null goes back to threads of its own, as a fork does.
void use_host_threads(HostParallel parallel, HostThreadNumber thread_number);

}  // namespace pyadam
