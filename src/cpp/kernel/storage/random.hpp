// Random bits from counters: the same for an element whatever the thread, vector width or order of work.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/step.hpp"
#include "kernel/storage/formats.hpp"

namespace {

// Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014: the finaliser of SplitMix64.
inline std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Random numbers of elements that agree above their low 32 bits.
struct RandomStream {
  std::uint32_t start;
  std::uint32_t twist;

  // Two rounds of multiply and xor-shift, with the multipliers of Wellons' search for 32-bit hashes of least bias.
  std::uint32_t bits(std::uint32_t element) const {
    std::uint32_t x = element + start;
    x = (x ^ (x >> 16)) * 0x21f0aaadu;
    x = ((x ^ (x >> 15)) + twist) * 0xd35a2d97u;
    return x ^ (x >> 15);
  }
};

// The streams of a step, of which the first is for the parameter, and each other one for two arrays of state.
class Randomness {
 public:
  explicit Randomness(const pyadam::Task& task)
      : key_(task.plan->random_key), offset_(task.random_offset), upper_half_(offset_ >> 32) {
    seed_streams();
  }

  // Calls work(stream, number, at, count) for runs of the task's elements [begin, begin + n): `at` counts from `begin`,
  // `number` is the low half of the first element's index. A run ends where that half wraps around, and the next one
  // has another stream.
  template <class Work>
  void for_runs(std::size_t stream, std::size_t begin, std::size_t n, const Work& work) {
    const std::uint64_t element = offset_ + begin;
    const std::uint64_t left = (std::uint64_t{1} << 32) - (element & 0xffffffffu);
    const std::size_t head = left < n ? static_cast<std::size_t>(left) : n;
    work(stream_of(stream, element), static_cast<std::uint32_t>(element), std::size_t{0}, head);
    if (head < n) work(stream_of(stream, element + head), std::uint32_t{0}, head, n - head);
  }

 private:
  void seed_streams() {
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      const std::uint64_t mixed = mix(mix(key_ + i) + upper_half_);
      streams_[i] = {static_cast<std::uint32_t>(mixed), static_cast<std::uint32_t>(mixed >> 32)};
    }
  }

  RandomStream stream_of(std::size_t index, std::uint64_t element) {
    if (element >> 32 != upper_half_) {
      upper_half_ = element >> 32;
      seed_streams();
    }
    return streams_[index];
  }

  std::uint64_t key_;
  std::uint64_t offset_;
  std::uint64_t upper_half_;
  std::array<RandomStream, 1 + (pyadam::max_states + 1) / 2> streams_{};
};

// `random` is 16 bits, as many as bfloat16 lacks of float32: they carry into what is kept as often as they should.
inline BFloat16 encode_at_random(float x, std::uint32_t random, BFloat16 /*format*/) {
  return {static_cast<std::uint16_t>((roundable_bits(x) + random) >> 16)};
}

inline Float16 encode_at_random(float x, std::uint32_t random, Float16 /*format*/) {
  const std::uint32_t bits = as_bits(x);
  const std::uint32_t magnitude = bits & ~sign_bit;
  const std::uint32_t carry = random >> 3;
  const std::uint32_t normal = (magnitude + carry) >> 13;
  // A subnormal in units of 2^-37, 13 bits below the last that float16 has; larger numbers take the other branch.
  const float small = as_float(magnitude < float16_normal ? magnitude : 0u) * 0x1p37f;
  const std::uint32_t subnormal = (static_cast<std::uint32_t>(static_cast<std::int32_t>(small)) + carry) >> 13;
  const std::uint32_t sign = (bits & sign_bit) >> 16;
  return {static_cast<std::uint16_t>(sign | float16_magnitude(normal, subnormal, x))};
}

}  // namespace
