// The plans of a step: made once for all parameters of a group that have the same age.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "engine/step.hpp"

namespace pyadam {

// Where a plan's numbers come from. `make(source, group, t, plan)` writes those of the stages and the scalars of
// `plan.rule`, for the step `t` (from 1) of the group's parameters; it may run any code, and throw.
struct PlanSource {
  void (*make)(const PlanSource& source, std::size_t group, std::int64_t t, Plan& plan);
  const void* context;
  std::int64_t step_count;  // the steps that the optimizer has taken, of which schedules are functions
};

class Plans {
 public:
  // Forgets the plans of an earlier step, for so many groups.
  void begin(std::size_t groups) {
    plans_.clear();
    if (!earlier_.empty()) earlier_.clear();
    newest_.assign(groups, {0, 0});
  }

  // Returns the place in `all` of a group's plan for the step `t`.
  std::size_t find_or_make(std::size_t group, std::size_t rule, std::int64_t t, std::uint64_t seed,
                           const PlanSource& source) {
    const Newest& newest = newest_[group];
    return newest.t == t ? newest.place : find_or_make_other(group, rule, t, seed, source);
  }

  std::vector<Plan>& all() { return plans_; }

 private:
  struct Newest {
    std::int64_t t;  // 0 where there is none
    std::size_t place;
  };

  std::size_t find_or_make_other(std::size_t group, std::size_t rule, std::int64_t t, std::uint64_t seed,
                                 const PlanSource& source);

  std::vector<Plan> plans_;
  std::vector<Newest> newest_;                                           // of each group
  std::map<std::pair<std::size_t, std::int64_t>, std::size_t> earlier_;  // empty where all of a group have one age
};

}  // namespace pyadam
