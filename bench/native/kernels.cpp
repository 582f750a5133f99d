// The kernels and their limits through Google Benchmark: rule / ISA / dtype / elements / threads. The limits are the
// byte floor, which moves the bytes of an Adam step, and in the caches the root and the division of each element.
//
// Before anything is timed, every rule must give the same bits on every ISA, for one thread and for many.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "floor.hpp"
#include "workload.hpp"

namespace {

using workload::Steps;
using workload::Streams;

constexpr std::size_t kib = 1024;
// Bytes of one array. Adam has four: from L1, through the caches, to RAM.
constexpr std::size_t array_bytes[] = {8 * kib, 64 * kib, 256 * kib, 2048 * kib, 16384 * kib, 131072 * kib};

// One, the powers of 2, and all that there are.
std::vector<int> thread_counts() {
  const int all = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::vector<int> counts;
  for (int threads = 1; threads < all; threads *= 2) counts.push_back(threads);
  counts.push_back(all);
  return counts;
}

template <class T>
void move_bytes(const Streams<T>& streams, int threads) {
  const byte_floor::Arrays<T> arrays{streams.p(), streams.g(), streams.state(0), streams.state(1), streams.size()};
  byte_floor::move(&arrays, 1, threads);
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

// The arrays of a size, made when they are first needed and then shared by all that is timed; as they begin.
template <class T>
Streams<T>& fresh_streams(std::size_t elements) {
  static std::map<std::size_t, Streams<T>> all;
  Streams<T>& streams = all.try_emplace(elements, elements).first->second;
  streams.reset();
  return streams;
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
  // Threads that would have too little to do are not used by the kernel.
  if (threads > 1 && elements / pyadam::get_min_share() < static_cast<std::size_t>(threads)) return;
  const std::string end = std::string("/") + workload::dtype_name<T>() + "/elements:" + std::to_string(elements) +
                          "/threads:" + std::to_string(threads);
  for (std::size_t rule = 0; rule < pyadam::active_kernels().rule_count; ++rule) {
    for (const std::string& isa : pyadam::available_isas()) {
      add(pyadam::active_kernels().rules[rule].name + ("/" + isa) + end, [=](benchmark::State& state) {
        pyadam::select_isa(isa);
        pyadam::set_num_threads(threads);
        Steps<T> steps(rule, fresh_streams<T>(elements));
        time(state, [&steps] { steps.step(); }, steps.bytes());
      });
    }
  }
  add("byte_floor/native" + end, [=](benchmark::State& state) {
    const Streams<T>& streams = fresh_streams<T>(elements);
    time(state, [&] { move_bytes(streams, threads); }, 7 * elements * sizeof(T));
  });
  if (threads > 1) return;
  add("divide_and_root/native" + end, [=](benchmark::State& state) {
    const Streams<T>& streams = fresh_streams<T>(elements);
    time(state, [&] { divide_and_root(streams); }, 3 * elements * sizeof(T));
  });
}

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "wrong answer: %s\n", what.c_str());
  std::exit(1);
}

template <class T>
void check_rule(std::size_t rule, std::size_t elements) {
  const auto take_steps = [=](const Streams<T>& streams, const std::string& isa, int threads) {
    pyadam::select_isa(isa);
    pyadam::set_num_threads(threads);
    Steps<T> steps(rule, streams);
    for (int i = 0; i < 3; ++i) steps.step();
  };
  const Streams<T> expected(elements);
  take_steps(expected, pyadam::available_isas().front(), 1);
  for (const std::string& isa : pyadam::available_isas()) {
    for (const int threads : thread_counts()) {
      const Streams<T> found(elements);
      take_steps(found, isa, threads);
      require(found.same_bits(expected), pyadam::active_kernels().rules[rule].name + ("/" + isa));
    }
  }
}

template <class T>
void check_limits(std::size_t elements, int threads) {
  const Streams<T> before(elements), moved(elements), divided(elements);
  move_bytes(moved, threads);
  divide_and_root(divided);
  for (std::size_t i = 0; i < elements; ++i) {
    const T p = before.p()[i], g = before.g()[i];
    require(moved.p()[i] == p + g && moved.state(0)[i] == g && moved.state(1)[i] == g, "byte_floor");
    const T error = divided.state(0)[i] * std::sqrt(p) - g;
    require(std::abs(error) <= 4 * std::numeric_limits<T>::epsilon(), "divide_and_root");
  }
}

template <class T>
void check_all() {
  const std::size_t elements = 4 * pyadam::get_min_share() + 3;
  for (std::size_t rule = 0; rule < pyadam::active_kernels().rule_count; ++rule) check_rule<T>(rule, elements);
  for (const int threads : thread_counts()) check_limits<T>(elements, threads);
}

}  // namespace

int main(int argc, char** argv) {
  // Unless the command line, which comes later, says otherwise: Adam and its limits, taking turns.
  std::vector<std::string> arguments = {argv[0],
                                        "--benchmark_filter=^(adam|byte_floor|divide_and_root)/",
                                        "--benchmark_min_time=0.05",
                                        "--benchmark_repetitions=5",
                                        "--benchmark_enable_random_interleaving=true",
                                        "--benchmark_report_aggregates_only=true"};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;

  check_all<float>();
  check_all<double>();
  for (const std::size_t bytes : array_bytes) {
    for (const int threads : thread_counts()) {
      add_all<float>(bytes / sizeof(float), threads);
      add_all<double>(bytes / sizeof(double), threads);
    }
  }
  benchmark::AddCustomContext("answers", "checked: each rule gave the same bits on all ISAs and thread counts");
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
