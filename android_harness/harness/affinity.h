// The cores that this process runs on.
#ifndef PWL_HARNESS_AFFINITY_H_
#define PWL_HARNESS_AFFINITY_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "pwl/status.h"

namespace pwl::harness {

// Reads "4-7" or "0,2,4-7" as numbers of cores, in order, each once. False where it is none.
bool ParseCores(std::string_view text, std::vector<int64_t>* cores);

// The cores that this process may run on, in order; empty where the kernel does not say.
std::vector<int64_t> CoresAllowed();

// Binds this process, and what it starts, to exactly these cores; none: leaves it where it is. Not
// all can always be had: a core may be off, or kept from this process's group of processes.
Status RunOnCores(const std::vector<int64_t>& cores);

// Whether the process is still where RunOnCores put it: the system may move a group of processes.
Status CheckCores(const std::vector<int64_t>& cores);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_AFFINITY_H_
