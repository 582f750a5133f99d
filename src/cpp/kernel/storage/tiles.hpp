// Tiles of stored arrays: loaded into values of the compute type, and stored again when the rule is done with them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "engine/step.hpp"
#include "kernel/prefetch.hpp"
#include "kernel/storage/formats.hpp"
#include "kernel/storage/random.hpp"

namespace {

template <class Stored>
void load_elements(float* __restrict tile, const Stored* __restrict stored, std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) tile[i] = decode<float>(stored[i]);
}

// `access` is that of the whole step.
template <Access access, class Stored>
void load(float* tile, const Stored* stored, std::size_t size) {
  for_lines<Stored>(size, [&](std::size_t i, std::size_t n) {
    prefetch<access>(stored + i);
    load_elements(tile + i, stored + i, n);
  });
}

template <class Stored>
void store(Stored* __restrict stored, const float* __restrict tile, std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) stored[i] = encode(tile[i], Stored{});
}

// Rounds with the upper halves of random numbers.
template <class Stored>
void store_run_at_random(Stored* __restrict stored, const float* __restrict tile, std::size_t n, RandomStream random,
                         std::uint32_t first) {
  const auto count = static_cast<std::uint32_t>(n);  // as wide as the random numbers: one vector is as long as another
#pragma omp simd
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t bits = random.bits(first + i);
    stored[i] = encode_at_random(tile[i], bits >> 16, Stored{});
  }
}

// Rounds one array with the upper halves, and a second one with the lower.
inline void store_runs_at_random(BFloat16* __restrict upper, BFloat16* __restrict lower,
                                 const float* __restrict upper_tile, const float* __restrict lower_tile, std::size_t n,
                                 RandomStream random, std::uint32_t first) {
  const auto count = static_cast<std::uint32_t>(n);  // as wide as the random numbers: one vector is as long as another
#pragma omp simd
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t bits = random.bits(first + i);
    upper[i] = encode_at_random(upper_tile[i], bits >> 16, BFloat16{});
    lower[i] = encode_at_random(lower_tile[i], bits & 0xffffu, BFloat16{});
  }
}

// A float32 in two halves: the nearest bfloat16, and what its bits lack to the float32's, as a signed number.
inline void join_elements(float* __restrict tile, const BFloat16* __restrict upper,
                          const std::int16_t* __restrict missing, std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t bits = static_cast<std::uint32_t>(upper[i].bits) << 16;
    const float joined = as_float(bits + static_cast<std::uint32_t>(static_cast<std::int32_t>(missing[i])));
    // A zero or an infinity that the user wrote beside bits of another number must not become a NaN.
    tile[i] = is_nan(joined) ? as_float(bits) : joined;
  }
}

inline void join(float* tile, const BFloat16* upper, const std::int16_t* missing, std::size_t size) {
  for_lines<BFloat16>(size, [&](std::size_t i, std::size_t n) {
    prefetch<Access::writes>(upper + i);
    prefetch<Access::writes>(missing + i);
    join_elements(tile + i, upper + i, missing + i, n);
  });
}

inline void split(BFloat16* __restrict upper, std::int16_t* __restrict missing, const float* __restrict tile,
                  std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t bits = roundable_bits(tile[i]);
    // Halves go up in magnitude, not to even, so that what is missing always fits 16 bits.
    upper[i].bits = static_cast<std::uint16_t>((bits + 0x8000u) >> 16);
    missing[i] = static_cast<std::int16_t>(static_cast<std::uint16_t>(bits));
  }
}

// Takes over what was written to the parameter since it was made the image of its master.
template <class Stored>
void adopt_elements(float* __restrict master, const Stored* __restrict param, std::size_t n) {
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) {
    const bool is_image = encode(master[i], Stored{}).bits == param[i].bits;
    master[i] = is_image ? master[i] : decode<float>(param[i]);
  }
}

template <class Stored>
void adopt(float* master, const Stored* param, std::size_t size) {
  for_lines<float>(size, [&](std::size_t i, std::size_t n) {
    prefetch<Access::writes>(master + i);
    prefetch<Access::writes>(param + i);
    adopt_elements(master + i, param + i, n);
  });
}

// Calls `work` with the 16-bit format of a parameter.
template <class Work>
void with_format(pyadam::DType dtype, const Work& work) {
  if (dtype == pyadam::DType::bfloat16) {
    work(BFloat16{});
  } else {
    work(Float16{});
  }
}

template <class T>
T* load_param(T* tile, const pyadam::Task& task, std::size_t begin, std::size_t n) {
  if constexpr (std::is_same_v<T, float>) {
    using pyadam::Storage;
    switch (task.param_storage) {
      case Storage::native:
        break;
      case Storage::float32_master: {
        float* master = static_cast<float*>(task.master) + begin;
        with_format(task.param_dtype,
                    [&](auto format) { adopt(master, static_cast<const decltype(format)*>(task.param) + begin, n); });
        return master;
      }
      case Storage::split:
        join(tile, static_cast<const BFloat16*>(task.param) + begin, static_cast<std::int16_t*>(task.master) + begin,
             n);
        return tile;
      case Storage::stochastic:
      case Storage::nearest:
        with_format(task.param_dtype, [&](auto format) {
          load<Access::writes>(tile, static_cast<const decltype(format)*>(task.param) + begin, n);
        });
        return tile;
    }
  }
  return static_cast<T*>(task.param) + begin;
}

template <class T>
void store_param(const T* values, const pyadam::Task& task, Randomness& random, std::size_t begin, std::size_t n) {
  if constexpr (std::is_same_v<T, float>) {
    using pyadam::Storage;
    if (task.param_storage == Storage::native) return;
    if (task.param_storage == Storage::split) {
      split(static_cast<BFloat16*>(task.param) + begin, static_cast<std::int16_t*>(task.master) + begin, values, n);
      return;
    }
    with_format(task.param_dtype, [&](auto format) {
      auto* param = static_cast<decltype(format)*>(task.param) + begin;
      if (task.param_storage == Storage::stochastic) {
        random.for_runs(0, begin, n, [&](auto stream, auto first, std::size_t at, std::size_t count) {
          store_run_at_random(param + at, values + at, count, stream, first);
        });
      } else {
        store(param, values, n);
      }
    });
  }
}

template <class T>
T* load_state(T* tile, const pyadam::Task& task, std::size_t index, std::size_t begin, std::size_t n) {
  if constexpr (std::is_same_v<T, float>) {
    if (task.state_dtype == pyadam::DType::bfloat16) {
      load<Access::writes>(tile, static_cast<const BFloat16*>(task.state[index]) + begin, n);
      return tile;
    }
  }
  return static_cast<T*>(task.state[index]) + begin;
}

// State in bfloat16 is always rounded at random: to nearest, a moment that decays slowly would never move.
template <class T, std::size_t count>
void store_states(const std::array<T*, count>& values, const pyadam::Task& task, Randomness& random, std::size_t begin,
                  std::size_t n) {
  if constexpr (std::is_same_v<T, float>) {
    if (task.state_dtype != pyadam::DType::bfloat16) return;
    const auto state = [&](std::size_t i) { return static_cast<BFloat16*>(task.state[i]) + begin; };
    for (std::size_t s = 0; s < count; s += 2) {
      random.for_runs(1 + s / 2, begin, n, [&](auto stream, auto first, std::size_t at, std::size_t run) {
        if (s + 1 < count) {
          store_runs_at_random(state(s) + at, state(s + 1) + at, values[s] + at, values[s + 1] + at, run, stream,
                               first);
        } else {
          store_run_at_random(state(s) + at, values[s] + at, run, stream, first);
        }
      });
    }
  }
}

}  // namespace
