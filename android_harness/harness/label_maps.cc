#include "harness/label_maps.h"

#include <algorithm>
#include <limits>

#include "harness/answer.h"

namespace pwl::harness {
namespace {

constexpr size_t kMostValues = 4096;

}  // namespace

bool MapCounts::Add(const std::vector<float>& logits, const uint8_t* labels,
                    const uint8_t* expected, size_t pixels) {
  const size_t classes = hits.size();
  if (logits.size() != pixels * classes) return false;
  const bool finite = AllFinite(logits);
  int64_t right_here = 0;
  int64_t labeled_here = 0;
  int64_t differing_here = 0;
  for (size_t i = 0; i < pixels; ++i) {
    if (labels[i] == kIgnored) continue;
    if (labels[i] >= classes) return false;
    ++labeled_here;
    ++there[labels[i]];
    if (!finite) {
      ++differing_here;
      continue;
    }
    const auto first = logits.begin() + static_cast<std::ptrdiff_t>(i * classes);
    const auto last = first + static_cast<std::ptrdiff_t>(classes);
    const auto label = static_cast<size_t>(std::max_element(first, last) - first);
    ++given[label];
    if (label == labels[i]) {
      ++right_here;
      ++hits[label];
    }
    if (label != expected[i]) ++differing_here;
  }
  right.push_back(right_here);
  labeled.push_back(labeled_here);
  differing.push_back(differing_here);
  if (!finite) ++lost;
  return true;
}

std::vector<float> Excerpt(const std::vector<float>& values) {
  const bool all = values.size() <= kMostValues;
  std::vector<float> taken = all ? values : std::vector<float>(kMostValues);
  if (!all) {
    for (size_t i = 0; i < kMostValues; ++i) {
      taken[i] = values[i * (values.size() - 1) / (kMostValues - 1)];
    }
  }
  if (!taken.empty() && !AllFinite(values)) taken[0] = std::numeric_limits<float>::quiet_NaN();
  return taken;
}

}  // namespace pwl::harness
