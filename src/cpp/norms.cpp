#include "norms.hpp"

#include <cmath>

namespace pyadam {

double trust_ratio(Norms* tiles, std::size_t count) {
  // A binary tree: neighbours are added in pairs until one is left.
  for (; count > 1; count = (count + 1) / 2) {
    for (std::size_t i = 0; i < count / 2; ++i) {
      tiles[i] = {tiles[2 * i].param + tiles[2 * i + 1].param, tiles[2 * i].direction + tiles[2 * i + 1].direction};
    }
    if (count % 2 == 1) tiles[count / 2] = tiles[count - 1];
  }
  if (count == 0 || tiles[0].param == 0 || tiles[0].direction == 0) return 1;
  return std::sqrt(tiles[0].param) / std::sqrt(tiles[0].direction);
}

}  // namespace pyadam
