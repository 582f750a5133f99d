// What the norms of tiles add up to, in one order whatever the threads: a binary tree of neighbours.
#pragma once

#include <cstddef>

#include "engine/step.hpp"

namespace pyadam {

// The sum of all tiles; overwrites them.
double sum_of_tiles(double* tiles, std::size_t count);

// |p| / |direction| over all tiles, which it overwrites; 1 where either is 0.
double trust_ratio(SquaredNorms* tiles, std::size_t count);

}  // namespace pyadam
