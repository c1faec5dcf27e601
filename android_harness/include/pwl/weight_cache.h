// Where XNNPACK keeps packed weights between two starts of an app: an option of both engines, off
// by default. The next start then maps a file instead of packing; the first one is slower, and the
// file takes as much storage as the weights.
//
// XNNPACK finds a cache by the path alone and does not notice that the program has changed: it
// would serve the old model. So the name of a cache file says which program and which runtime made
// it.
#ifndef PWL_WEIGHT_CACHE_H_
#define PWL_WEIGHT_CACHE_H_

#include <unistd.h>

#include <cstddef>
#include <string>

namespace pwl {

// With a cache, only the structure of a program is read, not its weights. Up to this many bytes it
// costs less to read everything than to fetch the pages of the structure one by one.
constexpr size_t kReadWhole = 1 << 20;

struct WeightCache {
  std::string folder;   // it exists, belongs to the app alone, and is writable; empty: no cache
  std::string runtime;  // sha256 of what made the files: the inference library, or the app

  bool enabled() const { return !folder.empty(); }

  // The file for the program with that sha256.
  std::string FileOf(const std::string& program_sha256) const {
    return folder + "/" + program_sha256 + "-" + runtime + ".xnnpack";
  }

  // That file if it is there already, or else the program's own.
  std::string FileOrProgram(const std::string& program, const std::string& program_sha256) const {
    if (!enabled()) return program;
    const std::string file = FileOf(program_sha256);
    return access(file.c_str(), R_OK) == 0 ? file : program;
  }
};

}  // namespace pwl

#endif  // PWL_WEIGHT_CACHE_H_
