// What the kernel says about this process.
#ifndef PWL_HARNESS_PROCESS_H_
#define PWL_HARNESS_PROCESS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace pwl::harness {

// Resident memory now and at its highest, in kB, of which `file` is backed by files. -1 where the
// kernel does not say.
struct Memory {
  int64_t rss_kb = -1;
  int64_t file_kb = -1;
  int64_t peak_kb = -1;
};
Memory ReadMemory();

// Resident memory by what it is, in kB: not backed by any file; mapped pages of `programs`; mapped
// pages of all other files, such as libraries. -1 where the kernel does not say.
struct Resident {
  int64_t anonymous_kb = -1;
  int64_t programs_kb = -1;
  int64_t files_kb = -1;
};
Resident ReadResident(const std::vector<std::string>& programs);

// Bytes that this process made the storage read, or -1 where the kernel does not say.
int64_t StorageBytesRead();

// Size of the files that are there; missing ones count nothing.
int64_t SizeOf(const std::vector<std::string>& files);

// The command line that this process was started with, dynamic loader included.
std::vector<std::string> CommandLine();

}  // namespace pwl::harness

#endif  // PWL_HARNESS_PROCESS_H_
