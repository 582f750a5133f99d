// Who is at work on an object that a caller's code may call again, from another thread or from within.
#pragma once

#include <atomic>
#include <stdexcept>

namespace pyadam {

// Marks a step in hand. It is refused to begin another on the same parameters, from another thread or from a plan. The
// flag is an atomic, so that this holds without Python's global lock too.
class ReentryGuard {
 public:
  explicit ReentryGuard(std::atomic<bool>& is_taken) : is_taken_(is_taken) {
    if (is_taken.exchange(true, std::memory_order_acquire)) {
      throw std::runtime_error("a step of these parameters is already running");
    }
  }
  ~ReentryGuard() { is_taken_.store(false, std::memory_order_release); }
  ReentryGuard(const ReentryGuard&) = delete;
  ReentryGuard& operator=(const ReentryGuard&) = delete;

 private:
  std::atomic<bool>& is_taken_;
};

}  // namespace pyadam
