// Whatever a data file holds and a plan says of it: as many values as were announced, or kDamaged.
// The first six bytes are the plan's numbers, the rest is the file.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

#include "harness/data.h"
#include "harness/measurement_plan.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 6) return 0;
  static const std::string path = "/tmp/pwl-data-fuzz-" + std::to_string(getpid());
  const size_t bytes = size - 6;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data + 6), static_cast<std::streamsize>(bytes));
  pwl::harness::MeasurementPlan plan;
  // Sometimes numbers whose product does not fit into 64 bits.
  const size_t floats = data[0] == 255 ? size_t{1} << 33 : data[0] % 9 + 1;
  const size_t count = data[1] == 255 ? size_t{1} << 33 : data[1] % 9 + 1;
  plan.golden = pwl::harness::Golden{count, path};
  pwl::harness::Evaluation evaluation;
  evaluation.count = count;
  evaluation.channels = 1;
  evaluation.images = path;
  evaluation.mean = {static_cast<float>(data[2]) / 255.0f};
  evaluation.std = {static_cast<float>(data[3] + 1) / 255.0f};
  plan.evaluation = evaluation;
  const bool small = data[0] != 255 && data[1] != 255;
  const auto golden = pwl::harness::ReadGoldenInputs(plan, floats);
  const auto images = pwl::harness::ReadEvaluationInputs(plan, floats);
  Require(golden.ok() == (small && bytes == count * floats * sizeof(float)));
  Require(images.ok() == (small && bytes == count * floats));
  if (images.ok()) Require(images->count() == count && images->row(0).size == floats);
  if (!golden.ok()) Require(golden.status().code() == pwl::Code::kDamaged);
  return 0;
}
