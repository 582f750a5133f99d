// What the norms of tiles add up to, in one order whatever the threads.
#pragma once

#include <cstddef>

#include "step.hpp"

namespace pyadam {

// |p| / |direction| over all tiles; 1 where either is 0. Overwrites `tiles`.
double trust_ratio(Norms* tiles, std::size_t count);

}  // namespace pyadam
