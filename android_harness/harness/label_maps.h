// Label maps: a label for each pixel of an image, and what of it is right.
#ifndef PWL_HARNESS_LABEL_MAPS_H_
#define PWL_HARNESS_LABEL_MAPS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pwl::harness {

// What pixels without a label hold.
constexpr uint8_t kIgnored = 255;

// What some answers are, against label maps and against what the host answered. Pixels without a
// label count nowhere.
struct MapCounts {
  explicit MapCounts(size_t classes) : hits(classes), given(classes), there(classes) {}

  // By image, in order.
  std::vector<int64_t> right;
  std::vector<int64_t> labeled;
  std::vector<int64_t> differing;
  // By class: pixels that have it and are given it, that are given it, that have it.
  std::vector<int64_t> hits;
  std::vector<int64_t> given;
  std::vector<int64_t> there;
  int64_t lost = 0;  // images whose logits hold NaN or infinity: no pixel of theirs has an answer

  // Counts an image. `logits` are as many of each pixel as there are classes, beside each other;
  // `labels` and `expected` one byte of each. Of equal logits the first names the label. False for
  // lengths that do not fit together.
  bool Add(const std::vector<float>& logits, const uint8_t* labels, const uint8_t* expected,
           size_t pixels);
};

// At most 4,096 of some values, evenly from the first to the last. Where any of all is no number,
// the first is none.
std::vector<float> Excerpt(const std::vector<float>& values);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_LABEL_MAPS_H_
