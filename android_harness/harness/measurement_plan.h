// The measurement plan: what the harness measures beside a bundle. The host writes it at deploy:
// plain text as a loading.plan is, in a file of its own.
//
//   pwl-measurement-plan 1
//   bundle FOLDER                                          where loading.plan lies
//   verify size | sha256                                   before a program is loaded; see Verify
//   program ID PATH BYTES SHA256 FLOATS_IN FLOATS_OUT      of a control arm
//   arm NAME ID...                                         programs in execution order
//   chain NAME ID...                                       an arm, loaded by a thread a program
//   golden COUNT INPUTS                                    a float32 file
//   evaluation COUNT CHANNELS IMAGES                       a uint8 file
//   normalize MEAN STD                                     per channel: (pixel/255 - mean)/std
//   evaluation-inputs COUNT INPUTS                         a float32 file, of what is no image
//   label-maps CLASSES LABELS PREDICTIONS                  uint8 files, of what labels each pixel
//   embeddings TEACHERS                                    a float32 file, of what gives vectors
//   end
//
// Paths are relative to the plan's folder. `verify`, `golden`, `evaluation`, `normalize`,
// `program`, `arm` and `chain` may be missing. `evaluation-inputs` takes the place of `evaluation`.
// `label-maps` has the labels of its images and what the host answers at each stage; `embeddings`
// what the teacher does.
#ifndef PWL_HARNESS_MEASUREMENT_PLAN_H_
#define PWL_HARNESS_MEASUREMENT_PLAN_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pwl/bundle.h"
#include "pwl/progressive_model.h"
#include "pwl/status.h"

namespace pwl::harness {

// A control arm: the chain of programs that an app would run which does not load progressively.
struct Arm {
  std::string name;
  std::vector<Artifact> programs;
  bool parallel = false;  // its programs, the bundle's own, are loaded by several threads
};

// Float32 model inputs, little endian, one after the other.
struct Golden {
  size_t count = 0;
  std::string inputs;
};

// Images [count, height, width, channels]; or, of no channels, model inputs as golden ones are.
struct Evaluation {
  size_t count = 0;
  size_t channels = 0;
  std::string images;
  std::vector<float> mean;
  std::vector<float> std;
};

// A label for each pixel: [count, pixels], and [stages, count, pixels] as the host answers.
struct LabelMaps {
  size_t classes = 0;
  std::string labels;
  std::string predictions;
};

struct MeasurementPlan {
  std::string folder;  // its own, below which all other paths are
  std::string bundle;
  Verify verify = Verify::kSha256;
  std::vector<Arm> arms;
  std::optional<Golden> golden;
  std::optional<Evaluation> evaluation;
  std::optional<LabelMaps> label_maps;
  std::optional<std::string> embeddings;  // a float32 file: the teacher's, [count, width]

  // The arm of that name, or nullptr.
  const Arm* FindArm(std::string_view name) const;
};

// Reads a plan's text; `folder` is the plan's.
Result<MeasurementPlan> ParseMeasurementPlan(std::string_view text, const std::string& folder);

// Reads a plan file.
Result<MeasurementPlan> ReadMeasurementPlan(const std::string& path);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_MEASUREMENT_PLAN_H_
