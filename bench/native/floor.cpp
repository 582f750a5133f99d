// The byte floor of an Adam step (p, g, m, v read; p, m, v written), for harness/floor.py.
#include "floor.hpp"

using byte_floor::Arrays;

extern "C" {

void move_float32(const Arrays<float, 2>* arrays, std::size_t count, int threads) {
  byte_floor::move(byte_floor::OnePass(), arrays, count, threads);
}

void move_float64(const Arrays<double, 2>* arrays, std::size_t count, int threads) {
  byte_floor::move(byte_floor::OnePass(), arrays, count, threads);
}

}  // extern "C"
