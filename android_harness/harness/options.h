// What the harness is asked to do: one task of one process.
#ifndef PWL_HARNESS_OPTIONS_H_
#define PWL_HARNESS_OPTIONS_H_

#include <string>

#include "pwl/status.h"

namespace pwl::harness {

struct Options {
  std::string task;            // info, ttfi, progress, latency, accuracy, parity
  std::string plan;            // path of the plan
  std::string nonce;           // repeated in the last line, which proves that nothing was cut off
  std::string arm = "pwl";     // ttfi: pwl, or the name of a control
  std::string state = "warm";  // ttfi, progress: cold or warm page cache
  int inferences = 0;  // ttfi: after the first; progress: after the last stage; latency: rounds
  int hold = 0;        // progress: inferences at each stage before the next one is loaded
};

constexpr char kUsage[] =
    "usage: pwl_harness --task TASK --plan PLAN --nonce WORD\n"
    "                   [--arm NAME] [--state cold|warm] [--inferences N] [--hold N]\n"
    "tasks: info, ttfi, progress, latency, accuracy, parity\n";

Result<Options> ParseOptions(int argc, char** argv);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_OPTIONS_H_
