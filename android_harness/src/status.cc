#include "pwl/status.h"

namespace pwl {

const char* CodeName(Code code) {
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
    case Code::kNotCold:
      return "not-cold";
  }
  return "unknown";
}

}  // namespace pwl
