#include "python/gil.hpp"

#include <chrono>
#include <thread>

namespace pyadam {

GilRelease::~GilRelease() {
  if (thread_ == nullptr) return;
  try {
    PyEval_RestoreThread(thread_);
  } catch (...) {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

}  // namespace pyadam
