#include "pwl/status.h"

#include <cerrno>
#include <cstring>

namespace pwl {

const char* CodeName(Code code) noexcept {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kUsage:
      return "usage";
    case Code::kInvalidPlan:
      return "invalid-plan";
    case Code::kMissing:
      return "missing";
    case Code::kDamaged:
      return "damaged";
    case Code::kIncompatible:
      return "incompatible";
    case Code::kRuntime:
      return "runtime";
    case Code::kIo:
      return "io";
    case Code::kCancelled:
      return "cancelled";
    case Code::kTimedOut:
      return "timed-out";
    case Code::kNotCold:
      return "not-cold";
    case Code::kNotFinite:
      return "not-finite";
  }
  return "unknown";
}

Status FileError(const std::string& path) {
  const int error = errno;
  Code code = Code::kIo;
  if (error == ENOENT || error == ENOTDIR) code = Code::kMissing;
  if (error == EISDIR) code = Code::kDamaged;
  return {code, path + ": " + std::strerror(error)};
}

}  // namespace pwl
