// The kernels and their limits through Google Benchmark: rule / ISA / dtype / elements / threads. The limits are the
// byte floor, which moves the same bytes, and in the caches the root and the division of each element.
//
// Before anything is timed, every rule must give the same bits on every ISA, for one thread and for many.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "floor.hpp"
#include "workload.hpp"

namespace {

using workload::dtype_name;
using workload::Steps;
using workload::Streams;

constexpr std::size_t kib = 1024;
// Bytes of one array. Adam has four: from L1, through the caches, to RAM.
constexpr std::size_t array_bytes[] = {8 * kib, 64 * kib, 256 * kib, 2048 * kib, 16384 * kib, 131072 * kib};
constexpr int checked_steps = 3;

// One, the powers of 2, and all that there are.
std::vector<int> thread_counts() {
  const int all = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::vector<int> counts;
  for (int threads = 1; threads < all; threads *= 2) counts.push_back(threads);
  counts.push_back(all);
  return counts;
}

// How a rule goes through memory.
struct Traffic {
  std::size_t states;
  bool has_two_passes;

  // One pass reads p, g and the state, and writes p and the state; of two, the first leaves p and the second g alone.
  std::size_t streams() const { return has_two_passes ? 4 + 3 * states : 3 + 2 * states; }
  std::string floor_name() const {
    return "byte_floor_" + std::to_string(states) + "_states" + (has_two_passes ? "_two_passes" : "");
  }
};

template <class T, std::size_t States>
void move_bytes(const Streams<T>& streams, bool has_two_passes, int threads) {
  byte_floor::Arrays<T, States> arrays{streams.p(), streams.g(), {}, streams.size()};
  for (std::size_t s = 0; s < States; ++s) arrays.state[s] = streams.state(s);
  if constexpr (States > 0) {
    if (has_two_passes) {
      byte_floor::move(byte_floor::StatePass(), &arrays, 1, threads);
      byte_floor::move(byte_floor::ParamPass(), &arrays, 1, threads);
      return;
    }
  }
  byte_floor::move(byte_floor::OnePass(), &arrays, 1, threads);
}

template <class T>
void move_bytes(const Streams<T>& streams, const Traffic& traffic, int threads) {
  static_assert(pyadam::max_states == 4);
  switch (traffic.states) {
    case 0:
      return move_bytes<T, 0>(streams, traffic.has_two_passes, threads);
    case 1:
      return move_bytes<T, 1>(streams, traffic.has_two_passes, threads);
    case 2:
      return move_bytes<T, 2>(streams, traffic.has_two_passes, threads);
    case 3:
      return move_bytes<T, 3>(streams, traffic.has_two_passes, threads);
    default:
      return move_bytes<T, 4>(streams, traffic.has_two_passes, threads);
  }
}

// What Adam cannot do without: a root and a division of each element. They share one unit of the CPU, and in a core's
// own caches they take longer than the bytes.
template <class T>
void divide_and_root(const Streams<T>& streams) {
  const T* __restrict p = streams.p();
  const T* __restrict g = streams.g();
  T* __restrict quotient = streams.state(0);
#pragma omp simd
  for (std::size_t i = 0; i < streams.size(); ++i) quotient[i] = g[i] / std::sqrt(p[i]);
}

// The arrays of a size, made when they are first needed and then shared by all that is timed.
template <class T>
Streams<T>& shared_streams(std::size_t elements) {
  static std::map<std::size_t, Streams<T>> all;
  return all.try_emplace(elements, elements).first->second;
}

template <class T>
Traffic traffic_of(std::size_t rule) {
  const Streams<T> streams(1);
  const Steps<T> steps(rule, streams);
  return {steps.states(), steps.has_two_passes()};
}

template <class Work>
void time(benchmark::State& state, const Work& work, std::size_t bytes) {
  work();  // brings the arrays into whatever cache holds them
  for (auto _ : state) {
    work();
    benchmark::ClobberMemory();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * static_cast<std::int64_t>(state.iterations()));
}

template <class T>
void time_rule(benchmark::State& state, std::size_t rule, const std::string& isa, std::size_t elements, int threads,
               const Traffic& traffic) {
  pyadam::select_isa(isa);
  pyadam::set_num_threads(threads);
  Streams<T>& streams = shared_streams<T>(elements);
  streams.reset(traffic.states);
  Steps<T> steps(rule, streams);
  time(state, [&steps] { steps.step(); }, traffic.streams() * elements * sizeof(T));
  state.SetLabel(traffic.floor_name());
}

template <class T>
void time_floor(benchmark::State& state, std::size_t elements, int threads, const Traffic& traffic) {
  Streams<T>& streams = shared_streams<T>(elements);
  streams.reset(traffic.states);
  time(state, [&] { move_bytes(streams, traffic, threads); }, traffic.streams() * elements * sizeof(T));
}

template <class T>
void time_divide_and_root(benchmark::State& state, std::size_t elements) {
  Streams<T>& streams = shared_streams<T>(elements);
  streams.reset(1);
  time(state, [&] { divide_and_root(streams); }, 3 * elements * sizeof(T));
}

// Threads that would have too little to do are not used by the kernel, so that they need not be measured.
bool is_worth(std::size_t elements, int threads) {
  return elements / pyadam::get_min_share() >= static_cast<std::size_t>(threads) || threads == 1;
}

std::string place(std::size_t elements, int threads) {
  return "/elements:" + std::to_string(elements) + "/threads:" + std::to_string(threads);
}

// The least of the repetitions is what other programs have disturbed least; table.py reads it.
template <class Function>
void add(const std::string& name, const Function& function) {
  benchmark::RegisterBenchmark(name.c_str(), function)
      ->UseRealTime()
      ->ComputeStatistics(
          "least", [](const std::vector<double>& times) { return *std::min_element(times.begin(), times.end()); });
}

template <class T>
void add_all(std::size_t elements, int threads) {
  const std::string end = "/" + std::string(dtype_name<T>()) + place(elements, threads);
  std::map<std::string, Traffic> floors;
  for (std::size_t rule = 0; rule < pyadam::active_kernels().rule_count; ++rule) {
    const Traffic traffic = traffic_of<T>(rule);
    floors.try_emplace(traffic.floor_name(), traffic);
    for (const std::string& isa : pyadam::available_isas()) {
      add(pyadam::active_kernels().rules[rule].name + ("/" + isa) + end,
          [=](benchmark::State& state) { time_rule<T>(state, rule, isa, elements, threads, traffic); });
    }
  }
  if (threads == 1) {
    add("divide_and_root/native" + end, [=](benchmark::State& state) { time_divide_and_root<T>(state, elements); });
  }
  for (const auto& [name, traffic] : floors) {
    add(name + "/native" + end,
        [=, traffic = traffic](benchmark::State& state) { time_floor<T>(state, elements, threads, traffic); });
  }
}

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("wrong answer: " + what);
}

template <class T>
void check_rule(std::size_t rule, std::size_t elements) {
  Streams<T> expected(elements), found(elements);
  const Traffic traffic = traffic_of<T>(rule);
  bool is_first = true;
  for (const std::string& isa : pyadam::available_isas()) {
    for (const int threads : thread_counts()) {
      pyadam::select_isa(isa);
      pyadam::set_num_threads(threads);
      Streams<T>& streams = is_first ? expected : found;
      streams.reset(traffic.states);
      Steps<T> steps(rule, streams);
      for (int i = 0; i < checked_steps; ++i) steps.step();
      require(is_first || found.same_bits(expected, traffic.states),
              pyadam::active_kernels().rules[rule].name + ("/" + isa) + "/" + dtype_name<T>() +
                  place(elements, threads) + " differs from " + pyadam::available_isas().front());
      is_first = false;
    }
  }
}

// Every stream must have been written, and every element once.
template <class T>
void check_floor(const Traffic& traffic, std::size_t elements, int threads) {
  const Streams<T> before(elements), after(elements);
  move_bytes(after, traffic, threads);
  bool holds = true;
  for (std::size_t i = 0; i < elements; ++i) {
    const T p = before.p()[i], g = before.g()[i];
    const T state = traffic.has_two_passes ? g + p : g;
    T sum = state;
    for (std::size_t s = 0; s < traffic.states; ++s) {
      holds = holds && after.state(s)[i] == state;
      if (s > 0) sum += state;
    }
    holds = holds && after.p()[i] == p + (traffic.has_two_passes ? sum : g);
  }
  require(holds, traffic.floor_name() + "/" + dtype_name<T>() + place(elements, threads));
}

template <class T>
void check_divide_and_root(std::size_t elements) {
  const Streams<T> streams(elements);
  divide_and_root(streams);
  bool holds = true;
  for (std::size_t i = 0; i < elements; ++i) {
    const T error = streams.state(0)[i] * std::sqrt(streams.p()[i]) - streams.g()[i];
    holds = holds && std::abs(error) <= 4 * std::numeric_limits<T>::epsilon();
  }
  require(holds, std::string("divide_and_root/") + dtype_name<T>());
}

template <class T>
void check_all() {
  const std::size_t min_share = pyadam::get_min_share();
  check_divide_and_root<T>(min_share + 3);
  for (std::size_t rule = 0; rule < pyadam::active_kernels().rule_count; ++rule) {
    pyadam::set_min_share(1);
    check_rule<T>(rule, 3 * pyadam::tile_elements + 3);
    pyadam::set_min_share(min_share);
    check_rule<T>(rule, 4 * min_share + 3);
    for (const int threads : thread_counts()) check_floor<T>(traffic_of<T>(rule), 4 * min_share + 3, threads);
  }
}

// What Google Benchmark is told unless the command line says otherwise: Adam and its limits, taking turns.
std::vector<std::string> with_defaults(int argc, char** argv) {
  const std::pair<std::string, std::string> defaults[] = {
      {"--benchmark_filter", "^(adam|byte_floor_2_states|divide_and_root)/"},
      {"--benchmark_min_time", "0.05"},
      {"--benchmark_repetitions", "5"},
      {"--benchmark_enable_random_interleaving", "true"},
      {"--benchmark_report_aggregates_only", "true"}};
  std::vector<std::string> arguments(argv, argv + argc);
  for (const auto& [flag, value] : defaults) {
    const bool is_given = std::any_of(arguments.begin(), arguments.end(), [name = flag](const std::string& argument) {
      return argument == name || argument.rfind(name + "=", 0) == 0;
    });
    if (!is_given) arguments.push_back(flag + "=" + value);
  }
  return arguments;
}

int run(int argc, char** argv) {
  std::vector<std::string> arguments = with_defaults(argc, argv);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;

  check_all<float>();
  check_all<double>();
  for (const std::size_t bytes : array_bytes) {
    for (const int threads : thread_counts()) {
      if (is_worth(bytes / sizeof(float), threads)) add_all<float>(bytes / sizeof(float), threads);
      if (is_worth(bytes / sizeof(double), threads)) add_all<double>(bytes / sizeof(double), threads);
    }
  }
  benchmark::AddCustomContext("answers", "checked: each rule gave the same bits on all ISAs and thread counts");
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
