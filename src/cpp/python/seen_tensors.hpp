// What tensors looked like, to compare with what they look like now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pyadam {

// A tensor's memory and how its elements lie there. `dtype` is any number that stands for it.
struct TensorLook {
  const void* data;
  std::int64_t dtype;
  std::int64_t dimensions;
  const std::int64_t* shape;
  const std::int64_t* strides;
};

class SeenTensors {
 public:
  void add(const TensorLook& look) {
    seen_.push_back({look.data, look.dtype, look.dimensions, extents_.size()});
    extents_.insert(extents_.end(), look.shape, look.shape + look.dimensions);
    extents_.insert(extents_.end(), look.strides, look.strides + look.dimensions);
  }

  std::size_t size() const { return seen_.size(); }

  // Whether tensor `index` looked like that.
  bool is(std::size_t index, const TensorLook& look) const {
    const Seen& seen = seen_[index];
    return seen.data == look.data && seen.dtype == look.dtype && has_layout(index, look);
  }

  // Whether it had this shape, with its elements in the same places.
  bool has_layout(std::size_t index, const TensorLook& look) const {
    const Seen& seen = seen_[index];
    if (seen.dimensions != look.dimensions) return false;
    const std::int64_t* shape = extents_.data() + seen.extents;
    const std::int64_t* strides = shape + seen.dimensions;
    for (std::int64_t i = 0; i < seen.dimensions; ++i) {
      if (shape[i] != look.shape[i] || (strides[i] != look.strides[i] && shape[i] != 1)) return false;
    }
    return true;
  }

 private:
  struct Seen {
    const void* data;
    std::int64_t dtype;
    std::int64_t dimensions;
    std::size_t extents;  // where its shape begins in `extents_`; its strides follow
  };

  std::vector<Seen> seen_;
  std::vector<std::int64_t> extents_;
};

}  // namespace pyadam
