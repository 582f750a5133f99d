// Ranges of memory, and whether they overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/dtypes.hpp"

namespace pyadam {

// Bytes [begin, end) of memory.
struct MemoryRange {
  std::uintptr_t begin;
  std::uintptr_t end;
};

inline MemoryRange range_of(const void* data, std::size_t size, DType dtype) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  return {begin, begin + size * itemsize(dtype)};
}

// Ranges that share no byte, kept in order, so that a gradient is compared with its neighbours only.
class DisjointRanges {
 public:
  struct Owned {
    MemoryRange range;
    std::size_t owner;
  };

  // Adds ranges; or returns the two owners of a byte that ranges share, and keeps what it had. Else {none, none}.
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::pair<std::size_t, std::size_t> add(std::vector<Owned> ranges);

  // The owners of bytes that `range` shares. Returns at once, and allocates nothing, where there are none.
  std::vector<std::size_t> overlapped_by(MemoryRange range) const;

  // Whether there are none. `place` is where the range was found to lie last time, among those kept: gradients lie
  // where they lay in the step before, or between the same parameters, so that few have to be searched for.
  bool is_apart(MemoryRange range, std::size_t& place) const {
    if (range.begin == range.end || is_between(range, place)) return true;
    place = first_beyond(range);
    return is_between(range, place);
  }

 private:
  // The number of ranges that begin before `range` ends. Disjoint ranges end in the order in which they begin.
  std::size_t first_beyond(MemoryRange range) const;
  bool is_between(MemoryRange range, std::size_t place) const {
    return place <= ranges_.size() && (place == 0 || ranges_[place - 1].range.end <= range.begin) &&
           (place == ranges_.size() || range.end <= ranges_[place].range.begin);
  }

  std::vector<Owned> ranges_;
};

// Adds the ranges of parameters; throws std::invalid_argument, and keeps what there was, if some share memory.
// `path_of(owner)` is a parameter's name.
template <class PathOf>
void add_parameters(DisjointRanges& ranges, std::vector<DisjointRanges::Owned> owned, const PathOf& path_of) {
  const auto [first, second] = ranges.add(std::move(owned));
  if (first != DisjointRanges::none) {
    throw std::invalid_argument(path_of(first) + " and " + path_of(second) +
                                " share memory, so one update would overwrite the other");
  }
}

[[noreturn]] inline void refuse_shared_gradient(const std::string& path, const std::string& other) {
  throw std::invalid_argument("gradient of " + path + " shares memory with " + other);
}

}  // namespace pyadam
