#include "engine/ranges.hpp"

#include <algorithm>
#include <iterator>

namespace pyadam {

std::pair<std::size_t, std::size_t> DisjointRanges::add(std::vector<Owned> ranges) {
  const auto begins_before = [](const Owned& a, const Owned& b) { return a.range.begin < b.range.begin; };
  ranges.erase(
      std::remove_if(ranges.begin(), ranges.end(), [](const Owned& o) { return o.range.begin == o.range.end; }),
      ranges.end());
  std::sort(ranges.begin(), ranges.end(), begins_before);
  std::vector<Owned> all;
  all.reserve(ranges_.size() + ranges.size());
  std::merge(ranges_.begin(), ranges_.end(), ranges.begin(), ranges.end(), std::back_inserter(all), begins_before);
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i].range.begin < all[i - 1].range.end) return std::minmax(all[i - 1].owner, all[i].owner);
  }
  ranges_ = std::move(all);
  return {none, none};
}

std::size_t DisjointRanges::first_beyond(MemoryRange range) const {
  const auto next = std::lower_bound(ranges_.begin(), ranges_.end(), range.end,
                                     [](const Owned& o, std::uintptr_t end) { return o.range.begin < end; });
  return static_cast<std::size_t>(next - ranges_.begin());
}

std::vector<std::size_t> DisjointRanges::overlapped_by(MemoryRange range) const {
  std::vector<std::size_t> owners;
  if (range.begin == range.end) return owners;
  for (std::size_t next = first_beyond(range); next > 0 && ranges_[next - 1].range.end > range.begin; --next) {
    owners.push_back(ranges_[next - 1].owner);
  }
  return owners;
}

}  // namespace pyadam
