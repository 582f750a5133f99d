#include "python/gradient_arrays.hpp"

#include <stdexcept>
#include <utility>

#include "engine/reentry_guard.hpp"
#include "python/gil.hpp"

namespace pyadam {

class GradientArrays::Call {
 public:
  explicit Call(GradientArrays& owner) : owner_(owner), guard_(owner.busy_) {}
  ~Call() { owner_.given_.release(); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  GradientArrays& owner_;
  ReentryGuard guard_;
};

GradientArrays::GradientArrays(const py::list& arrays, const std::vector<std::string>& paths) {
  std::vector<ArrayView> views = checked_parameters(arrays, paths);
  std::vector<DisjointRanges::Owned> owned;
  for (std::size_t i = 0; i < views.size(); ++i) {
    owned.push_back({range_of(views[i].data, views[i].size, views[i].dtype), i});
    arrays_.push_back({std::move(views[i]), paths[i]});
  }
  add_parameters(ranges_, std::move(owned), [this](std::size_t i) { return arrays_[i].path; });
}

void GradientArrays::read(const py::object& grads) {
  gradients_.clear();
  given_.hold(grads, arrays_.size(), nullptr, gradients_);
  given_.read(gradients_, arrays_, ranges_);
  for (const Gradient& gradient : gradients_) {
    const NamedView& parameter = arrays_[gradient.slot];
    std::size_t place = 0;
    const MemoryRange range = range_of(gradient.data, parameter.view.size, gradient.dtype);
    if (!ranges_.is_apart(range, place)) {
      refuse_shared_gradient(parameter.path, arrays_[ranges_.overlapped_by(range).front()].path);
    }
  }
}

py::list GradientArrays::checked(const py::object& grads) {
  const Call call(*this);
  read(grads);
  py::list result;
  std::size_t next = 0;
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    const bool has_one = next < gradients_.size() && gradients_[next].slot == i;
    result.append(has_one ? given_.objects()[next++] : py::none());
  }
  return result;
}

void GradientArrays::accumulate(const py::object& grads) {
  const Call call(*this);
  read(grads);
  sums_.prepare(gradients_, [this](std::size_t slot) { return arrays_[slot].view.size; });
  without_gil(sums_.elements(), [this] { sums_.run(); });
}

void GradientArrays::clear_accumulated() {
  const Call call(*this);
  sums_.clear();
}

}  // namespace pyadam
