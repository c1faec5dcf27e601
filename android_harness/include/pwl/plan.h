// The plan: what to load, in which order, and what it must look like. The host derives it from a
// bundle's manifest. It is plain text, one directive a line, words separated by one space:
//
//   pwl-plan 1
//   backend executorch
//   exporter executorch 1.5.1                              what wrote the programs
//   runtime 1.5.0                                          the oldest that can read them
//   threads 1
//   verify size | sha256                                   before a program is loaded; see Verify
//   input FLOATS                                           floats that the first program reads
//   classes COUNT                                          floats that the last program writes
//   artifact ID PATH BYTES SHA256 FLOATS_IN FLOATS_OUT
//   stage INDEX ID...                                      artifact ids in execution order
//   control NAME PATH BYTES SHA256 STAGE                   a monolith, and whose logits it gives
//   golden COUNT INPUTS OUTPUTS...                         float32 files; one OUTPUTS per stage
//   evaluation COUNT CHANNELS IMAGES LABELS                uint8 and uint16 files
//   normalize MEAN STD                                     per channel: (pixel/255 - mean)/std
//   end
//
// PATH is relative to the folder of the plan. `exporter`, `runtime`, `golden`, `evaluation`,
// `normalize` and `control` may be missing. `end` proves that nothing was cut off.
#ifndef PWL_PLAN_H_
#define PWL_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pwl/status.h"

namespace pwl {

// How a file is checked before it is loaded.
enum class Verify {
  kSize,    // it exists and has the right size; its sha256 was checked when it was installed
  kSha256,  // and its sha256 is right
};

// A program file and its place in a chain.
struct Artifact {
  std::string id;
  std::string path;
  uint64_t bytes = 0;
  std::string sha256;
  size_t floats_in = 0;
  size_t floats_out = 0;
};

// A monolith beside the stages, for comparison.
struct Control {
  Artifact artifact;
  size_t stage = 0;
};

// Inputs with the logits that they must give, each file float32 little endian.
struct Golden {
  size_t count = 0;
  std::string inputs;
  std::vector<std::string> outputs;
};

// Images [count, height, width, channels] and labels [count].
struct Evaluation {
  size_t count = 0;
  size_t channels = 0;
  std::string images;
  std::string labels;
  std::vector<float> mean;
  std::vector<float> std;
};

struct Plan {
  std::string backend;
  std::string exporter;
  std::string minimum_runtime;
  int threads = 1;
  Verify verify = Verify::kSha256;
  size_t floats_in = 0;
  size_t classes = 0;
  std::vector<Artifact> artifacts;
  // Per stage the indices into `artifacts`, in execution order; each chain fits together.
  std::vector<std::vector<size_t>> stages;
  std::vector<Control> controls;
  std::optional<Golden> golden;
  std::optional<Evaluation> evaluation;

  // The control of that name, or nullptr.
  const Control* FindControl(std::string_view name) const;
};

// Reads a plan's text. Paths become absolute below `root`.
Result<Plan> ParsePlan(std::string_view text, const std::string& root);

// Reads a plan file; paths become absolute below its folder.
Result<Plan> ReadPlan(const std::string& path);

}  // namespace pwl

#endif  // PWL_PLAN_H_
