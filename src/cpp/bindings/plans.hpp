// The plans of a step, as the Python layer's functions make them.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../step.hpp"

namespace pyadam {

namespace py = pybind11;

// Throws std::invalid_argument if there is no rule of that name.
std::size_t rule_index(const std::string& name);

// Parameters of a group that have the same age share a plan; as a rule that is all of them.
class Plans {
 public:
  void begin() { *this = Plans(std::move(plans_)); }

  // Returns the place in `all` of a group's plan for the step `t` (from 1), which `function` makes: function(t, step_count)
  // returns the stages' numbers and the rule's scalars.
  std::size_t place_of(std::size_t group, std::size_t rule, std::int64_t t, std::int64_t step_count,
                       const py::handle& function, std::uint64_t seed);

  std::vector<Plan>& all() { return plans_; }

  Plans() = default;

 private:
  using Key = std::pair<std::size_t, std::int64_t>;

  explicit Plans(std::vector<Plan> memory) : plans_(std::move(memory)) { plans_.clear(); }

  std::vector<Plan> plans_;
  Key last_key_{0, 0};
  std::size_t last_place_ = 0;
  std::map<Key, std::size_t> earlier_;  // stays empty, and allocates nothing, where all have one age
};

}  // namespace pyadam
