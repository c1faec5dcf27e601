#include "harness/data.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pwl/program_source.h"

namespace pwl::harness {
namespace {

// Reads a file of `count` rows of `row` values. Its size is compared before memory is allocated:
// what a plan says of counts is not to be believed.
template <typename Value>
Result<std::vector<Value>> ReadRows(const std::string& path, size_t count, size_t row) {
  const Result<ProgramSource> file = ProgramSource::Open(path);
  if (!file.ok()) return file.status();
  size_t values = 0;
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, row, &values) ||
      __builtin_mul_overflow(values, sizeof(Value), &bytes) || file->size() != bytes) {
    return Status(Code::kDamaged, path + ": " + std::to_string(file->size()) +
                                      " bytes, should be " + std::to_string(count) + " x " +
                                      std::to_string(row) + " x " + std::to_string(sizeof(Value)));
  }
  std::vector<Value> data(values);
  if (Status status = file->Read(0, data.data(), bytes); !status.ok()) return status;
  return data;
}

}  // namespace

Result<Rows> ReadFloatRows(const std::string& path, size_t count, size_t row) {
  Result<std::vector<float>> values = ReadRows<float>(path, count, row);
  if (!values.ok()) return values.status();
  return Rows(std::move(*values), count);
}

Result<Rows> ReadGoldenInputs(const MeasurementPlan& plan, size_t floats) {
  if (!plan.golden) return Status(Code::kUsage, "the plan has no golden inputs");
  return ReadFloatRows(plan.golden->inputs, plan.golden->count, floats);
}

Result<std::vector<uint8_t>> ReadByteRows(const std::string& path, size_t count, size_t row) {
  return ReadRows<uint8_t>(path, count, row);
}

Result<Rows> ReadEvaluationInputs(const MeasurementPlan& plan, size_t floats) {
  if (!plan.evaluation) return Status(Code::kUsage, "the plan has no evaluation images");
  const Evaluation& evaluation = *plan.evaluation;
  if (evaluation.channels == 0) return ReadFloatRows(evaluation.images, evaluation.count, floats);
  if (floats % evaluation.channels != 0) {
    return Status(Code::kInvalidPlan, "an image does not have that many channels");
  }
  const Result<std::vector<uint8_t>> read =
      ReadRows<uint8_t>(evaluation.images, evaluation.count, floats);
  if (!read.ok()) return read.status();
  const std::vector<uint8_t>& pixels = *read;
  std::vector<float> values(pixels.size());
  for (size_t i = 0; i < pixels.size(); ++i) {
    const size_t channel = i % evaluation.channels;
    const float share = static_cast<float>(pixels[i]) / 255.0f;
    values[i] = (share - evaluation.mean[channel]) / evaluation.std[channel];
  }
  return Rows(std::move(values), evaluation.count);
}

}  // namespace pwl::harness
