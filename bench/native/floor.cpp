// The byte floor for harness/floor.py.
#include "floor.hpp"

using byte_floor::Arrays;

extern "C" void move_float32(const Arrays<float>* arrays, std::size_t count, int threads) {
  byte_floor::move(arrays, count, threads);
}

extern "C" void move_float64(const Arrays<double>* arrays, std::size_t count, int threads) {
  byte_floor::move(arrays, count, threads);
}
