// What the harness is asked to do: one task of one process.
#ifndef PWL_HARNESS_OPTIONS_H_
#define PWL_HARNESS_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pwl/bundle.h"
#include "pwl/make_engine.h"
#include "pwl/status.h"
#include "pwl/weight_cache.h"

namespace pwl::harness {

struct Options {
  std::string task;            // info, install, ttfi, progress, latency, memory, accuracy,
                               // parity
  std::string plan;            // path of the measurement plan
  std::string nonce;           // repeated in the last line, which proves that nothing was cut off
  std::string arm = "pwl";     // ttfi, memory: pwl, or a control arm
  std::string state = "warm";  // ttfi, progress: cold or warm page cache; cold-cached: cold, with
                               // weight caches on disk
  int inferences = 0;  // ttfi: after the first; progress: after the last stage; latency: rounds;
                       // accuracy: images, the first ones, 0 for all of them
  int hold = 0;        // progress: inferences at each stage before the next one is loaded
  int fps = 0;  // progress: frames that come in a second, each to be answered before it ends;
                // 0: as many inferences as there can be, one after the other
  std::vector<int64_t> cores;  // to run on; empty: wherever the system puts the process
  bool drop_caches = false;    // cold: have Android drop the whole page cache first
  std::string library;         // of an engine that is loaded while the program runs: its path
  WeightCache cache;           // where the engine keeps packed weights, if it shall
};

constexpr char kUsage[] =
    "usage: pwl_harness --task TASK --plan PLAN --nonce WORD\n"
    "                   [--arm NAME] [--state cold|warm|cold-cached] [--inferences N]\n"
    "                   [--hold N] [--fps N]\n"
    "                   [--library PATH] [--weight-cache FOLDER --runtime SHA256]\n"
    "                   [--cores LIST] [--drop-caches eviction|property]\n"
    "tasks: info, install, ttfi, progress, latency, memory, accuracy, parity\n";

Result<Options> ParseOptions(int argc, char** argv);

// The engine of a plan, as the options say.
Result<std::unique_ptr<Engine>> MakeEngineFor(const LoadingPlan& plan, const Options& options);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_OPTIONS_H_
