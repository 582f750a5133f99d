#include "engine/plans.hpp"

#include "kernel/storage/random.hpp"

namespace pyadam {

std::size_t Plans::find_or_make_other(std::size_t group, std::size_t rule, std::int64_t t, std::uint64_t seed,
                                      const PlanSource& source) {
  Newest& newest = newest_[group];
  if (newest.t != 0) earlier_.emplace(std::pair(group, newest.t), newest.place);
  if (!earlier_.empty()) {
    if (const auto known = earlier_.find({group, t}); known != earlier_.end()) {
      newest = {t, known->second};
      return newest.place;
    }
  }
  Plan plan{};
  plan.rule = rule;
  source.make(source, group, t, plan);
  plan.random_key = mix(mix(seed) + static_cast<std::uint64_t>(t));
  plans_.push_back(plan);
  newest = {t, plans_.size() - 1};
  return newest.place;
}

}  // namespace pyadam
