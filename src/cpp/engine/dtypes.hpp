// The table of dtypes: all that is known of each, and the only place where a new one is named.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pyadam {

enum class DType { float32, float64, float16, bfloat16, int16 };

// Of DLPack: https://dmlc.github.io/dlpack/latest/c_api.html.
enum class DLPackKind : std::uint8_t { integer = 0, floating = 2, bfloat = 4 };

struct DTypeFacts {
  DType dtype;
  const char* name;  // NumPy's and PyTorch's
  std::size_t bytes;
  const char* safetensors;
  bool is_numeric;   // whether parameters and gradients may be of it; what is not is bits beside a parameter
  int numpy_number;  // NumPy's type number; -1 where another package registers the type
  DLPackKind dlpack;
};

// In the order of DType. Those that a gradient may have come first, so that their numbers have no gap.
constexpr std::array<DTypeFacts, 5> all_dtypes{{
    {DType::float32, "float32", 4, "F32", true, 11, DLPackKind::floating},
    {DType::float64, "float64", 8, "F64", true, 12, DLPackKind::floating},
    {DType::float16, "float16", 2, "F16", true, 23, DLPackKind::floating},
    {DType::bfloat16, "bfloat16", 2, "BF16", true, -1, DLPackKind::bfloat},
    {DType::int16, "int16", 2, "I16", false, 3, DLPackKind::integer},
}};

constexpr const DTypeFacts& facts_of(DType dtype) { return all_dtypes[static_cast<std::size_t>(dtype)]; }

constexpr std::size_t itemsize(DType dtype) { return facts_of(dtype).bytes; }

// What elements are computed in.
constexpr DType compute_dtype(DType param) { return param == DType::float64 ? DType::float64 : DType::float32; }

}  // namespace pyadam
