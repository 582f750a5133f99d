#include "engine/kept_arrays.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "engine/dispatch.hpp"
#include "engine/memory.hpp"
#include "kernel/storage/formats.hpp"

namespace pyadam {
namespace {

const RuleEntry& rule_of(const Keeping& keeping) { return active_kernels().rules[keeping.rule]; }

bool is_low_precision(DType dtype) { return dtype == DType::bfloat16 || dtype == DType::float16; }

DType state_dtype_of(DType param, const Keeping& keeping) {
  return keeping.state_dtype == DType::bfloat16 ? DType::bfloat16 : compute_dtype(param);
}

template <class T>
void copy_values(T* out, const Buffer& param) {
  const auto decode_all = [&](const auto* stored) {
    std::transform(stored, stored + param.size, out, [](auto x) { return decode<T>(x); });
  };
  switch (param.dtype) {
    case DType::float32:
      return decode_all(static_cast<const float*>(param.data));
    case DType::float64:
      return decode_all(static_cast<const double*>(param.data));
    case DType::float16:
      return decode_all(static_cast<const Float16*>(param.data));
    case DType::bfloat16:
      return decode_all(static_cast<const BFloat16*>(param.data));
    case DType::int16:
      return;  // no parameter is
  }
}

void fill(const KeptArray& array, std::size_t size, double value) {
  if (array.dtype == DType::float64) {
    std::fill_n(static_cast<double*>(array.data), size, value);
  } else if (array.dtype == DType::float32) {
    std::fill_n(static_cast<float*>(array.data), size, static_cast<float>(value));
  } else {
    std::fill_n(static_cast<BFloat16*>(array.data), size, encode(static_cast<float>(value), BFloat16{}));
  }
}

}  // namespace

std::size_t rule_index(const std::string& name) {
  const KernelTable& kernels = active_kernels();
  for (std::size_t i = 0; i < kernels.rule_count; ++i) {
    if (name == kernels.rules[i].name) return i;
  }
  throw std::invalid_argument("unknown rule '" + name + "'");
}

Keeping keeping_of(const std::string& rule, const std::optional<std::string>& master,
                   const std::optional<std::string>& state_dtype, bool has_ema) {
  const DType dtype = state_dtype == facts_of(DType::bfloat16).name ? DType::bfloat16 : DType::float32;
  return {rule_index(rule), {}, master.value_or(""), dtype, has_ema};
}

Storage storage_of(DType param, const Keeping& keeping, const std::string& path) {
  if (keeping.state_dtype == DType::bfloat16 && param == DType::float64) {
    throw std::invalid_argument(path +
                                " is of float64, whose state must be too: state_dtype must be None, found 'bfloat16'");
  }
  if (!is_low_precision(param)) return Storage::native;
  const std::string name = facts_of(param).name;
  const std::string& master = keeping.master;
  if (master.empty()) {
    throw std::invalid_argument(
        path + " is of " + name + ", too coarse to add up small updates: choose master='float32'" +
        (param == DType::bfloat16 ? ", 'split'" : "") +
        " or 'stochastic'; 'nearest' is there too, and stops learning where updates are below half a unit");
  }
  if (master == "split" && param != DType::bfloat16) {
    throw std::invalid_argument(path + " is of " + name + ", and master='split' is for bfloat16 only");
  }
  if (master == "float32") return Storage::float32_master;
  if (master == "split") return Storage::split;
  return master == "stochastic" ? Storage::stochastic : Storage::nearest;
}

std::vector<KeptArray> kept_arrays(DType param, const Keeping& keeping, Storage storage) {
  const RuleEntry& rule = rule_of(keeping);
  std::vector<KeptArray> arrays;
  arrays.reserve(rule.states + 2);
  for (std::size_t s = 0; s < rule.states; ++s) {
    arrays.push_back({rule.state_names[s], state_dtype_of(param, keeping), nullptr});
  }
  if (storage == Storage::float32_master) arrays.push_back({"master", DType::float32, nullptr});
  if (storage == Storage::split) arrays.push_back({"low_bits", DType::int16, nullptr});
  if (keeping.has_ema) arrays.push_back({"ema", compute_dtype(param), nullptr});
  return arrays;
}

Task task_of(const Buffer& param, const std::vector<KeptArray>& kept, const Keeping& keeping, Storage storage) {
  const std::size_t states = rule_of(keeping).states;
  Task task{};
  task.param = param.data;
  task.size = param.size;
  task.param_dtype = param.dtype;
  task.param_storage = storage;
  task.state_dtype = states > 0 ? kept[0].dtype : compute_dtype(param.dtype);
  task.trust_ratio = 1;
  std::size_t next = 0;
  for (; next < states; ++next) task.state[next] = kept[next].data;
  if (storage == Storage::float32_master || storage == Storage::split) task.master = kept[next++].data;
  if (next < kept.size()) task.ema = kept[next].data;
  return task;
}

std::size_t staggered_place(std::size_t index, std::size_t bytes, std::size_t used) {
  constexpr std::size_t stagger = 11 * state_alignment;  // the parameter and five arrays spread over a page
  const std::size_t aligned = (used + state_alignment - 1) / state_alignment * state_alignment;
  if (bytes < large_memory) return aligned;
  // Streams that are at the same place of a page at the same time share one set of the first-level cache and drive each
  // other out of it, as all do whose arrays are of 2^25 elements: a step took 1.4 to 2.5 times longer on AMD's Zen 4.
  const std::size_t wanted = (index + 1) * stagger % page_bytes;
  return aligned + (wanted + page_bytes - aligned % page_bytes) % page_bytes;
}

void fill_initial(std::size_t index, const KeptArray& array, const Keeping& keeping, const Buffer& param,
                  bool also_zeros) {
  if (index < rule_of(keeping).states) {
    const double value = keeping.initial_state[index];
    if (value != 0 || also_zeros) fill(array, param.size, value);
  } else if (array.dtype == DType::int16) {
    if (also_zeros) std::memset(array.data, 0, param.size * itemsize(array.dtype));
  } else if (array.dtype == DType::float64) {
    copy_values(static_cast<double*>(array.data), param);
  } else {
    copy_values(static_cast<float*>(array.data), param);
  }
}

}  // namespace pyadam
