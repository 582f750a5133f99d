// What Python calls the dtypes of arrays.
#pragma once

#include <array>
#include <cstddef>

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

}  // namespace pyadam
