// Cuts a step into shares for the threads.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/memory.hpp"
#include "engine/step.hpp"
#include "kernel/kernel_table.hpp"

namespace pyadam {

void set_num_threads(int threads);  // from 1 to max_threads of thread_pool.hpp
int get_num_threads();

// The least number of elements worth a thread of its own; less work than two such shares stays on the caller.
void set_min_share(std::size_t elements);
std::size_t get_min_share();

// All elements of a step: `tasks[i].first` counts those before task i.
std::size_t elements_of(const std::vector<Task>& tasks);

// The rule of a task, compiled for the active ISA and the task's compute type.
const Kernel& kernel_of(const Task& task);

// Whether the rule needs norms of the whole parameter before it can update it.
bool has_two_passes(const Task& task);

// What can be done to all tasks as one piece of work.
enum class Pass { sum_squares, accumulate, zero_grad, zero_new, measure, update };

// With `flush_denormals`, all threads count subnormal numbers as zero while they are at it.
void run_pass(Pass pass, const std::vector<Task>& tasks, bool flush_denormals = false) noexcept;

// Sets blocks to zero, of an even number of bytes each, that were never used. To touch memory for the first time costs
// more than to use it, so all threads share that; with a block per parameter, each touches what it will update.
void zero_new_memory(const std::vector<MemoryBlock>& blocks);

}  // namespace pyadam
