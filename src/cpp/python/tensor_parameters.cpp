#include "python/tensor_parameters.hpp"

#include <stdexcept>
#include <utility>

#include "engine/reentry_guard.hpp"
#include "python/gil.hpp"
#include "python/plan_functions.hpp"

namespace pyadam {
namespace {

DType dtype_named(const std::string& name) {
  for (const DTypeFacts& known : all_dtypes) {
    if (name == known.name) return known.dtype;
  }
  throw std::invalid_argument("unknown dtype '" + name + "'");
}

// NOLINTNEXTLINE(performance-no-int-to-ptr): Python knows addresses as integers
void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

// Lets go of gradients when a call ends, however it ends.
class Held {
 public:
  explicit Held(std::vector<py::object>& objects) : objects_(objects) {}
  ~Held() { objects_.clear(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  std::vector<py::object>& objects_;
};

}  // namespace

py::list names_of_kept_arrays(const std::string& rule, const std::string& dtype,
                              const std::optional<std::string>& master, const std::optional<std::string>& state_dtype,
                              bool has_ema, const std::string& path) {
  const Keeping keeping = keeping_of(rule, master, state_dtype, has_ema);
  const DType param = dtype_named(dtype);
  py::list names;
  for (const KeptArray& kept : kept_arrays(param, keeping, storage_of(param, keeping, path))) {
    names.append(py::make_tuple(kept.name, facts_of(kept.dtype).name));
  }
  return names;
}

void TensorParameters::add_group(const std::string& rule, const std::optional<std::string>& master,
                                 const std::optional<std::string>& state_dtype, bool has_ema) {
  const ReentryGuard guard(engine_.busy());
  engine_.add_group(keeping_of(rule, master, state_dtype, has_ema));
}

void TensorParameters::add(const std::string& path, std::size_t group, std::uintptr_t address, std::size_t size,
                           const std::string& dtype, const std::vector<std::uintptr_t>& kept, std::int64_t step,
                           std::uintptr_t step_address, const std::string& step_dtype, std::uint64_t first_element) {
  const ReentryGuard guard(engine_.busy());
  std::vector<void*> addresses;
  addresses.reserve(kept.size());
  for (const std::uintptr_t one : kept) addresses.push_back(pointer(one));
  engine_.add(group, {path, {pointer(address), size, dtype_named(dtype)}}, addresses, step,
              {pointer(step_address), dtype_named(step_dtype)}, first_element);
}

void TensorParameters::set_bounds(std::size_t index, double lower, double upper) {
  const ReentryGuard guard(engine_.busy());
  engine_.set_box(index, Box{lower, upper, nullptr, nullptr}, nullptr);
}

void TensorParameters::set_bound_arrays(std::size_t index, std::uintptr_t lower, std::uintptr_t upper) {
  const ReentryGuard guard(engine_.busy());
  engine_.set_box(index, Box{0, 0, pointer(lower), pointer(upper)}, nullptr);
}

TensorParameters::Watched TensorParameters::watched(const py::object& object) {
  Watched result;
  if (object.is_none()) return result;
  result.owner = object;
  if (py::isinstance<WatchedTensors>(object)) {
    result.tensors = object.cast<const WatchedTensors*>();
  } else {
    result.handles = object.cast<const TensorHandles*>();
  }
  return result;
}

void TensorParameters::watch(const py::object& tensors, const py::object& beside) {
  const ReentryGuard guard(engine_.busy());
  Watched watched_tensors = watched(tensors);
  if (watched_tensors.tensors != nullptr && watched_tensors.tensors->size() != engine_.size()) {
    throw std::invalid_argument("a tensor for each parameter is needed");
  }
  beside_ = watched(beside);
  tensors_ = std::move(watched_tensors);
}

template <class Look>
py::object TensorParameters::take(const py::tuple& plans, double grad_scale, const Look& look) {
  const PlanSource source = plan_source(plans, engine_);
  // Counts that were changed outside need other plans, and can be read safely only after a look.
  constexpr int attempts = 3;
  for (int attempt = 0;; ++attempt) {
    engine_.plan(source);
    if (!tensors_.hold() || !beside_.hold() || !look()) return py::none();
    if (!engine_.take_counts()) break;
    if (attempt == attempts) throw std::runtime_error("the step counts change while their step is planned");
  }
  Parameters::Request request;
  request.grad_divisor = grad_scale;
  engine_.prepare(request);
  const StepResult result = without_gil(engine_.elements(), [&] { return engine_.run(); });
  engine_.finish(result);
  return py::bool_(result.has_stepped);
}

py::object TensorParameters::step(const GivenGradients& gradients, const py::tuple& plans, double grad_scale,
                                  const py::object& watched_gradients) {
  const ReentryGuard guard(engine_.busy());
  if (gradients.parameters() != engine_.size()) {
    if (plans.size() != engine_.groups()) throw std::invalid_argument("a plan for each group is needed");
    throw std::invalid_argument("an address and a dtype for each parameter is needed");
  }
  const Watched others = watched(watched_gradients);
  engine_.begin() = gradients.all();
  return take(plans, grad_scale, [&] { return others.hold(); });
}

py::object TensorParameters::step_of(const py::list& owners, const py::tuple& plans, double grad_scale) {
  const ReentryGuard guard(engine_.busy());
  const Held held(objects_);
  if (tensors_.tensors == nullptr) throw std::invalid_argument("the tensors must be watched");
  std::vector<Gradient>& gradients = engine_.begin();
  if (!tensors_.tensors->add_gradients(owners, gradients, objects_)) return py::none();
  return take(plans, grad_scale, [&] { return tensors_.tensors->read(objects_, gradients); });
}

}  // namespace pyadam
