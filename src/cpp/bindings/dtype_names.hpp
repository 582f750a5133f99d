// What Python calls the dtypes of arrays.
#pragma once

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "../step.hpp"

namespace pyadam {

struct NamedDType {
  const char* name;
  DType dtype;
};

// Those that a gradient may have come first.
constexpr std::array<NamedDType, 5> named_dtypes{{{"float32", DType::float32},
                                                  {"float64", DType::float64},
                                                  {"float16", DType::float16},
                                                  {"bfloat16", DType::bfloat16},
                                                  {"int16", DType::int16}}};
constexpr std::size_t gradient_dtype_count = 4;

// Throws std::invalid_argument if no dtype has this name.
inline DType dtype_named(const std::string& name) {
  for (const NamedDType& known : named_dtypes) {
    if (name == known.name) return known.dtype;
  }
  throw std::invalid_argument("unknown dtype '" + name + "'");
}

}  // namespace pyadam
