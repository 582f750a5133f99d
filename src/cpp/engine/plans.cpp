#include "engine/plans.hpp"

#include "kernel/storage/random.hpp"

namespace pyadam {

std::size_t Plans::find_or_make_other(const Key& key, std::size_t rule, std::size_t carried, std::uint64_t seed,
                                      const PlanSource& source) {
  Newest& newest = newest_[key.group];
  if (newest.t != 0) earlier_.emplace(Key{key.group, newest.t, newest.before}, newest.place);
  if (!earlier_.empty()) {
    if (const auto known = earlier_.find(key); known != earlier_.end()) {
      newest = {key.t, key.before, known->second};
      return newest.place;
    }
  }
  Plan plan{};
  plan.rule = rule;
  plan.carried = key.before;
  source.make(source, key.group, key.t, carried, plan);
  plan.random_key = mix(mix(seed) + static_cast<std::uint64_t>(key.t));
  plans_.push_back(plan);
  newest = {key.t, key.before, plans_.size() - 1};
  return newest.place;
}

}  // namespace pyadam
