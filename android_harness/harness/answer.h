// What the logits of one inference say.
#ifndef PWL_HARNESS_ANSWER_H_
#define PWL_HARNESS_ANSWER_H_

#include <cstdint>
#include <vector>

namespace pwl::harness {

// What `Label` gives where the logits name no label.
constexpr int64_t kNoLabel = -1;

// Whether every logit is a number: neither NaN nor infinite.
bool AllFinite(const std::vector<float>& logits);

// The index of the largest logit, the first of equals. kNoLabel where there are none or not all are
// finite: NaN has no place in an order, so that a search for the largest would just pass over it.
int64_t Label(const std::vector<float>& logits);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_ANSWER_H_
