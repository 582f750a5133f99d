#include "engine/norms.hpp"

#include <cmath>

namespace pyadam {
namespace {

double sum(double a, double b) { return a + b; }
SquaredNorms sum(const SquaredNorms& a, const SquaredNorms& b) {
  return {a.param + b.param, a.direction + b.direction};
}

// Adds neighbours in pairs until one is left.
template <class T>
T tree_sum(T* tiles, std::size_t count) {
  if (count == 0) return T{};
  for (; count > 1; count = (count + 1) / 2) {
    for (std::size_t i = 0; i < count / 2; ++i) tiles[i] = sum(tiles[2 * i], tiles[2 * i + 1]);
    if (count % 2 == 1) tiles[count / 2] = tiles[count - 1];
  }
  return tiles[0];
}

}  // namespace

double sum_of_tiles(double* tiles, std::size_t count) { return tree_sum(tiles, count); }

double trust_ratio(SquaredNorms* tiles, std::size_t count) {
  const SquaredNorms squares = tree_sum(tiles, count);
  if (squares.param == 0 || squares.direction == 0) return 1;
  return std::sqrt(squares.param) / std::sqrt(squares.direction);
}

}  // namespace pyadam
