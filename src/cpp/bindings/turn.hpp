// Who is at work on an object that Python code may call again, from another thread or from within.
#pragma once

#include <stdexcept>

namespace pyadam {

// Marks a step in hand. It is refused to begin another on the same parameters, from another thread or from a plan.
class Turn {
 public:
  explicit Turn(bool& is_taken) : is_taken_(is_taken) {
    if (is_taken) throw std::runtime_error("a step of these parameters is already running");
    is_taken = true;
  }
  ~Turn() { is_taken_ = false; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  bool& is_taken_;
};

}  // namespace pyadam
