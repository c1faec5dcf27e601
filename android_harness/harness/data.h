// The data files of a bundle: golden inputs and evaluation images.
#ifndef PWL_HARNESS_DATA_H_
#define PWL_HARNESS_DATA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/measurement_plan.h"
#include "pwl/engine.h"
#include "pwl/status.h"

namespace pwl::harness {

// Float32 rows of equal length.
class Rows {
 public:
  Rows(std::vector<float> values, size_t count)
      : values_(std::move(values)), count_(count), size_(values_.size() / count) {}
  size_t count() const { return count_; }
  Floats row(size_t index) const { return {values_.data() + index * size_, size_}; }

 private:
  std::vector<float> values_;
  size_t count_;
  size_t size_;
};

// The golden inputs, of so many floats each. kUsage when the plan has none, kDamaged when the file
// has another size.
Result<Rows> ReadGoldenInputs(const MeasurementPlan& plan, size_t floats);

// The evaluation images as model inputs: (pixel / 255 - mean) / std, in float32 in this order; what
// is no image, as it is in the file.
Result<Rows> ReadEvaluationInputs(const MeasurementPlan& plan, size_t floats);

// So many rows of so many floats each, of a file. kDamaged when it has another size.
Result<Rows> ReadFloatRows(const std::string& path, size_t count, size_t row);

// So many rows of so many bytes each, of a file. kDamaged when it has another size.
Result<std::vector<uint8_t>> ReadByteRows(const std::string& path, size_t count, size_t row);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_DATA_H_
