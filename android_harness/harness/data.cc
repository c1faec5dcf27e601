#include "harness/data.h"

#include <cstdio>
#include <memory>

namespace pwl::harness {
namespace {

Status ReadExactly(const std::string& path, void* data, size_t size) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) return FileError(path);
  char extra = 0;
  if (std::fread(data, 1, size, file.get()) != size || std::fread(&extra, 1, 1, file.get()) != 0) {
    return {Code::kDamaged, path + ": should be " + std::to_string(size) + " bytes"};
  }
  return {};
}

}  // namespace

Result<Rows> ReadGoldenInputs(const Plan& plan) {
  if (!plan.golden) return Status(Code::kUsage, "the plan has no golden inputs");
  std::vector<float> values(plan.golden->count * plan.floats_in);
  if (Status status =
          ReadExactly(plan.golden->inputs, values.data(), values.size() * sizeof(float));
      !status.ok()) {
    return status;
  }
  return Rows(std::move(values), plan.golden->count);
}

Result<Rows> ReadEvaluationInputs(const Plan& plan) {
  if (!plan.evaluation) return Status(Code::kUsage, "the plan has no evaluation images");
  const Evaluation& evaluation = *plan.evaluation;
  std::vector<uint8_t> pixels(evaluation.count * plan.floats_in);
  if (Status status = ReadExactly(evaluation.images, pixels.data(), pixels.size()); !status.ok()) {
    return status;
  }
  std::vector<float> values(pixels.size());
  for (size_t i = 0; i < pixels.size(); ++i) {
    const size_t channel = i % evaluation.channels;
    const float share = static_cast<float>(pixels[i]) / 255.0f;
    values[i] = (share - evaluation.mean[channel]) / evaluation.std[channel];
  }
  return Rows(std::move(values), evaluation.count);
}

}  // namespace pwl::harness
