#include "pwl/engine.h"

#include <string>

namespace pwl {

Status RequireFloats(Floats input, size_t count) {
  if (input.data != nullptr && input.size == count) return {};
  return {Code::kUsage,
          "given " + std::to_string(input.size) + " floats instead of " + std::to_string(count)};
}

Status RequireThreads(int threads) {
  if (threads >= 1 && threads <= kMostThreads) return {};
  return {Code::kUsage, "an inference has 1 to " + std::to_string(kMostThreads) + " threads, not " +
                            std::to_string(threads)};
}

Status ProgramSpec::Fits(size_t in, size_t out) const {
  if ((floats_in == 0 || floats_in == in) && (floats_out == 0 || floats_out == out)) return {};
  return {Code::kIncompatible, "reads " + std::to_string(in) + " and writes " +
                                   std::to_string(out) + " floats, should be " +
                                   std::to_string(floats_in) + " and " +
                                   std::to_string(floats_out)};
}

}  // namespace pwl
