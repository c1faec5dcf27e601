#include "harness/answer.h"

#include <algorithm>
#include <cmath>

namespace pwl::harness {

bool AllFinite(const std::vector<float>& logits) {
  return std::all_of(logits.begin(), logits.end(),
                     [](float value) { return std::isfinite(value); });
}

int64_t Label(const std::vector<float>& logits) {
  if (logits.empty() || !AllFinite(logits)) return kNoLabel;
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

}  // namespace pwl::harness
