// A program file that is open.
//
// What is checked, hashed and mapped is one and the same file, whatever happens to its name
// meanwhile. Its bytes may still change: a file that is overwritten in place under a running model
// gives other answers, and one that is cut short ends the app (SIGBUS). So whoever replaces a file
// writes a new one beside it and renames it, as installers do.
#ifndef PWL_PROGRAM_SOURCE_H_
#define PWL_PROGRAM_SOURCE_H_

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "pwl/status.h"

namespace pwl {

class ProgramSource {
 public:
  // Opens a regular file for reading; never blocks. kMissing, kDamaged for what is no file (a
  // folder, a FIFO, a device), or kIo.
  static Result<ProgramSource> Open(const std::string& path);

  ~ProgramSource();
  ProgramSource(ProgramSource&& other) noexcept;
  ProgramSource& operator=(ProgramSource&& other) noexcept;
  ProgramSource(const ProgramSource&) = delete;
  ProgramSource& operator=(const ProgramSource&) = delete;

  // For messages.
  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  // As it was when the file was opened.
  const struct stat& identity() const { return identity_; }
  uint64_t size() const { return static_cast<uint64_t>(identity_.st_size); }

  // Reads `size` bytes from `offset` on. kDamaged when the file ends before.
  Status Read(uint64_t offset, void* data, size_t size) const;

  // Whether the file has changed since it was opened, as far as its size and times tell.
  bool Changed() const;

 private:
  ProgramSource(std::string path, int descriptor, const struct stat& identity);

  std::string path_;
  int descriptor_;
  struct stat identity_;
};

}  // namespace pwl

#endif  // PWL_PROGRAM_SOURCE_H_
