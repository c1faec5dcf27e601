// A file in memory, for libraries that end the process when they cannot write to storage.
#ifndef PWL_SRC_RUNTIME_MEMORY_FILE_H_
#define PWL_SRC_RUNTIME_MEMORY_FILE_H_

#include <memory>
#include <string>

#include "pwl/status.h"

namespace pwl {

class MemoryFile {
 public:
  // Null where the kernel has none, or no memory for it.
  static std::unique_ptr<MemoryFile> Make();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  // A descriptor for a library that closes it when it has begun to write, and may not even begin:
  // then it is closed by the next member that is called. -1 when there are no more descriptors.
  int Lend();

  // Writes what it holds to a new file, which is removed again if that fails. Nothing for an empty
  // one.
  Status CopyTo(const std::string& path);

 private:
  MemoryFile() = default;
  void Reclaim();

  int descriptor_ = -1;
  int lent_ = -1;
};

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_MEMORY_FILE_H_
