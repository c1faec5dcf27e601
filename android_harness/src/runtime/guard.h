// Where exceptions end: nothing that an engine, an observer or the C++ library throws crosses the
// runtime's interface.
#ifndef PWL_SRC_RUNTIME_GUARD_H_
#define PWL_SRC_RUNTIME_GUARD_H_

#include <exception>
#include <new>
#include <string>

#include "pwl/status.h"

namespace pwl {

// What is being thrown right now, as a status; called inside of `catch (...)` only.
inline Status ThrownStatus(const char* what) noexcept {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      return {Code::kRuntime, std::string(what) + ": no memory"};
    } catch (const std::exception& error) {
      return {Code::kRuntime, std::string(what) + ": " + error.what()};
    } catch (...) {
      return {Code::kRuntime, std::string(what) + ": an exception"};
    }
  } catch (...) {
    // Not even the message finds memory; this one is short enough to need none.
    return {Code::kRuntime, "no memory"};
  }
}

// A copy of a status, with a shorter message if there is no memory for that one.
inline Status CopyOf(const Status& status) noexcept {
  try {
    return status;
  } catch (...) {
    return {status.code(), "no memory"};
  }
}

// The result of `work`, or what it threw. `work` returns a Status or a Result.
template <typename Work>
auto Guarded(const char* what, const Work& work) noexcept -> decltype(work()) {
  try {
    return work();
  } catch (...) {
    return ThrownStatus(what);
  }
}

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_GUARD_H_
