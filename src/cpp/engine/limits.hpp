// Sizes and limits that more than one part relies on, each written once; Python reads them from the module.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyadam {

// Work is cut between threads at multiples of this many elements of a parameter; a tile of each stream fits L1.
constexpr std::size_t tile_elements = 1024;

constexpr std::size_t tiles(std::size_t elements) { return (elements + tile_elements - 1) / tile_elements; }

// Of the systems that pyadam is tuned for: what shares a set of the first-level cache has the same place in its page.
constexpr std::size_t page_bytes = 4096;

// The largest step count: from there on doubles, in which other libraries keep it, have gaps.
constexpr std::int64_t max_step = (std::int64_t{1} << 53) - 1;

}  // namespace pyadam
