// The plans of a step: made once for all parameters of a group that have the same age.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "engine/step.hpp"

namespace pyadam {

// Where a plan's numbers come from. `make(source, group, t, plan)` writes those of the stages and the scalars of
// `plan.rule`, for the step `t` (from 1) of the group's parameters, and turns what was carried to the step into what it
// hands on, of which there are `carried` numbers. It may run any code, and throw.
struct PlanSource {
  void (*make)(const PlanSource& source, std::size_t group, std::int64_t t, std::size_t carried, Plan& plan);
  const void* context;
  std::int64_t step_count;  // the steps that the optimizer has taken, of which schedules are functions
};

class Plans {
 public:
  // Forgets the plans of an earlier step, for so many groups.
  void begin(std::size_t groups) {
    plans_.clear();
    if (!earlier_.empty()) earlier_.clear();
    newest_.assign(groups, {0, {}, 0});
  }

  // A step of a group's parameters: of the rule, the step `t`, to which `carried` numbers were carried.
  struct Key {
    std::size_t group;
    std::int64_t t;
    Carried before;
  };

  // Returns the place in `all` of the plan for a step.
  std::size_t find_or_make(const Key& key, std::size_t rule, std::size_t carried, std::uint64_t seed,
                           const PlanSource& source) {
    const Newest& newest = newest_[key.group];
    return newest.t == key.t && is_same(newest.before, key.before)
               ? newest.place
               : find_or_make_other(key, rule, carried, seed, source);
  }

  std::vector<Plan>& all() { return plans_; }

 private:
  struct Newest {
    std::int64_t t;  // 0 where there is none
    Carried before;
    std::size_t place;
  };

  // Numbers are compared by their bits, so that a NaN is itself.
  using Bits = std::array<std::uint64_t, max_carried>;

  static Bits bits(const Carried& carried) {
    static_assert(sizeof(Bits) == sizeof(Carried));
    Bits bits;
    std::memcpy(bits.data(), carried.data(), sizeof(Bits));
    return bits;
  }

  static bool is_same(const Carried& a, const Carried& b) { return bits(a) == bits(b); }

  struct ByBits {
    bool operator()(const Key& a, const Key& b) const {
      if (a.group != b.group) return a.group < b.group;
      return a.t != b.t ? a.t < b.t : bits(a.before) < bits(b.before);
    }
  };

  std::size_t find_or_make_other(const Key& key, std::size_t rule, std::size_t carried, std::uint64_t seed,
                                 const PlanSource& source);

  std::vector<Plan> plans_;
  std::vector<Newest> newest_;                  // of each group
  std::map<Key, std::size_t, ByBits> earlier_;  // empty where all of a group have one age
};

}  // namespace pyadam
