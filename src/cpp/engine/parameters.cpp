#include "engine/parameters.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "engine/dispatch.hpp"

namespace pyadam {

Parameters::Slot Parameters::slot_for(const Group& group, const New& parameter) const {
  const Storage storage = storage_of(parameter.buffer.dtype, group.keeping, parameter.path);
  Slot slot{};
  slot.path = parameter.path;
  slot.kept = kept_arrays(parameter.buffer.dtype, group.keeping, storage);
  slot.task = task_of(parameter.buffer, slot.kept, group.keeping, storage);
  return slot;
}

void Parameters::add_group(Keeping keeping, const std::vector<New>& members, const std::string& directory) {
  Group group{std::move(keeping), nullptr};
  const std::size_t states = active_kernels().rules[group.keeping.rule].states;
  if (group.keeping.initial_state.size() != states) {
    throw std::invalid_argument("a number for each state buffer is needed");
  }
  std::vector<Slot> slots;
  std::vector<std::size_t> places;
  std::vector<DisjointRanges::Owned> owned;
  slots.reserve(members.size());
  std::size_t bytes = 0;
  for (const New& member : members) {
    slots.push_back(slot_for(group, member));
    const Buffer& buffer = member.buffer;
    owned.push_back({range_of(buffer.data, buffer.size, buffer.dtype), slots_.size() + slots.size() - 1});
    for (std::size_t k = 0; k < slots.back().kept.size(); ++k) {
      const std::size_t array_bytes = buffer.size * itemsize(slots.back().kept[k].dtype);
      places.push_back(staggered_place(k, array_bytes, bytes));
      bytes = places.back() + array_bytes;
    }
  }
  group.memory =
      directory.empty() ? std::make_shared<ZeroedMemory>(bytes) : std::make_shared<ZeroedMemory>(bytes, directory);
  std::uint64_t next = slots_.empty() ? 0 : slots_.back().task.random_offset + slots_.back().task.size;
  auto place = places.begin();
  for (Slot& slot : slots) {
    for (std::size_t k = 0; k < slot.kept.size(); ++k) {
      slot.kept[k].data = group.memory->data() + *place++;
      fill_initial(k, slot.kept[k], group.keeping, slot.buffer(), false);
    }
    slot.task = task_of(slot.buffer(), slot.kept, group.keeping, slot.task.param_storage);
    slot.task.random_offset = next;
    next += slot.task.size;
  }
  groups_.reserve(groups_.size() + 1);
  reserve_slots(slots.size());
  add_parameters(ranges_, std::move(owned),
                 [&](std::size_t i) { return i < slots_.size() ? slots_[i].path : slots[i - slots_.size()].path; });
  for (Slot& slot : slots) {
    slots_.push_back(std::move(slot));
    ages_.push_back({groups_.size(), 0});
  }
  groups_.push_back(std::move(group));
}

void Parameters::reserve_slots(std::size_t more) {
  current_tasks_ = 0;  // their boxes lie in the slots
  const std::size_t size = slots_.size() + more;
  if (size > slots_.capacity()) slots_.reserve(std::max(size, 2 * slots_.capacity()));
  if (size > ages_.capacity()) ages_.reserve(std::max(size, 2 * ages_.capacity()));
  range_places_.resize(size);
}

void Parameters::add_group(Keeping keeping) { groups_.push_back({std::move(keeping), nullptr}); }

void Parameters::add(std::size_t group, const New& parameter, const std::vector<void*>& kept, std::int64_t step,
                     CountMirror mirror, std::uint64_t first_element) {
  if (group >= groups_.size()) throw std::invalid_argument("there is no group " + std::to_string(group));
  Slot slot = slot_for(groups_[group], parameter);
  if (kept.size() != slot.kept.size()) throw std::invalid_argument("an address for each array kept is needed");
  for (std::size_t k = 0; k < kept.size(); ++k) {
    slot.kept[k].data = kept[k];
    small_pages_.push_back({kept[k], parameter.buffer.size * itemsize(slot.kept[k].dtype)});
  }
  slot.task = task_of(parameter.buffer, slot.kept, groups_[group].keeping, slot.task.param_storage);
  slot.task.random_offset = first_element;
  reserve_slots(1);
  if (mirror.memory != nullptr || !mirrors_.empty()) mirrors_.resize(slots_.size() + 1);
  if (mirror.memory != nullptr) mirrors_.back() = mirror;
  slots_.push_back(std::move(slot));
  ages_.push_back({group, step});
  has_ranges_ = false;
}

void Parameters::know_ranges() {
  if (has_ranges_) return;
  std::vector<DisjointRanges::Owned> owned;
  owned.reserve(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Task& task = slots_[i].task;
    owned.push_back({range_of(task.param, task.size, task.param_dtype), i});
  }
  DisjointRanges ranges;
  add_parameters(ranges, std::move(owned), [this](std::size_t i) { return slots_[i].path; });
  ranges_ = std::move(ranges);
  has_ranges_ = true;
}

Parameters::Exchange Parameters::exchange_for(std::vector<void*> data) const {
  std::vector<DisjointRanges::Owned> owned;
  owned.reserve(data.size());
  for (std::size_t i = 0; i < data.size(); ++i) {
    owned.push_back({range_of(data[i], slots_[i].task.size, slots_[i].task.param_dtype), i});
  }
  Exchange exchange{std::move(data), {}};
  add_parameters(exchange.ranges, std::move(owned), [this](std::size_t i) { return slots_[i].path; });
  return exchange;
}

void Parameters::set_box(std::size_t slot, const std::optional<Box>& box, std::shared_ptr<const void> owner) {
  slots_.at(slot).box = box;
  slots_[slot].box_owner = std::move(owner);
  current_tasks_ = 0;
}

std::vector<std::int64_t> Parameters::steps() const {
  std::vector<std::int64_t> steps;
  steps.reserve(ages_.size());
  for (const Age& age : ages_) steps.push_back(age.step);
  return steps;
}

void Parameters::restore(std::int64_t step_count, const std::vector<std::int64_t>& steps,
                         const std::vector<std::vector<const void*>>& sources) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    ages_[i].step = steps[i];
    for (std::size_t k = 0; k < slot.kept.size(); ++k) {
      const KeptArray& kept = slot.kept[k];
      if (sources[i][k] == nullptr) {
        fill_initial(k, kept, groups_[ages_[i].group].keeping, slot.buffer(), true);
      } else {
        std::memmove(kept.data, sources[i][k], slot.task.size * itemsize(kept.dtype));
      }
    }
  }
  step_count_ = step_count;
}

}  // namespace pyadam
