// Cuts a step into shares for the threads.
#pragma once

#include <cstddef>
#include <vector>

#include "step.hpp"

namespace pyadam {

void set_num_threads(int threads);  // from 1 to max_threads of thread_pool.hpp
int get_num_threads();

// The least number of elements worth a thread of its own; less work than two such shares stays on the caller.
void set_min_share(std::size_t elements);
std::size_t get_min_share();

// Whether the task's rule needs norms of the whole parameter before it can update it.
bool has_two_passes(const Task& task);

// Updates all parameters as one piece of work. `tasks[i].first` counts the elements before task i.
void run(std::vector<Task>& tasks) noexcept;

}  // namespace pyadam
