// The start state of a measured process: its files out of the page cache, or in it.
//
// A process that has just evicted or read files is no clean start: its own pages, allocator and
// caches are warm. So the harness prepares the state, proves it, and then becomes a new process of
// itself by exec; the clock of process_ns starts at that moment.
#ifndef PWL_HARNESS_START_STATE_H_
#define PWL_HARNESS_START_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pwl/status.h"

namespace pwl::harness {

// How the measured process was started.
struct StartState {
  std::string state;           // "cold", "warm" or "cold-cached"
  int64_t exec_ns = 0;         // when it was started, NowNs()
  int64_t pages = 0;           // pages of its files
  int64_t resident_pages = 0;  // of which were in the page cache
  int64_t cpu_ns = 0;          // CPU time that this process had used by exec_ns
};

// The state that this process was started in by EnterStartState, if it was.
std::optional<StartState> CurrentStartState();

// Brings `files` into the state and starts this program anew with the same arguments. Returns only
// to say why that failed: kNotCold when pages stay in memory, as on a tmpfs, or when the system was
// to drop its whole page cache (`drop_caches`) and did not.
Status EnterStartState(const std::string& state, const std::vector<std::string>& files,
                       bool drop_caches);

// Pages of a file, and how many of them are in the page cache.
Status CountResident(const std::string& path, int64_t* pages, int64_t* resident);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_START_STATE_H_
