// A program that is open: a file, or a part of one, as an asset is of an APK.
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

// Its members throw nothing. Those that are const may be called from several threads at once.
class ProgramSource {
 public:
  // Opens a regular file for reading; waits for no writer of a FIFO. kMissing, kDamaged for what is
  // no file (a folder, a FIFO, a device), or kIo.
  static Result<ProgramSource> Open(const std::string& path) noexcept;

  // `length` bytes from `offset` on of a file that is open: what AAsset_openFileDescriptor64 and
  // AssetFileDescriptor give. `name` is for messages. The descriptor is duplicated; the caller goes
  // on owning it. kDamaged where the file ends before, or is none; kIo.
  static Result<ProgramSource> FromDescriptor(std::string name, int descriptor, uint64_t offset,
                                              uint64_t length) noexcept;

  ~ProgramSource();
  ProgramSource(ProgramSource&& other) noexcept;
  ProgramSource& operator=(ProgramSource&& other) noexcept;
  ProgramSource(const ProgramSource&) = delete;
  ProgramSource& operator=(const ProgramSource&) = delete;

  // For messages.
  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  // Of the whole file, as it was when it was opened.
  const struct stat& identity() const { return identity_; }
  // Where the program begins in the file, and how long it is.
  uint64_t offset() const { return offset_; }
  uint64_t size() const { return size_; }

  // Reads `size` bytes of the program from `offset` on; blocks until storage has delivered them.
  // kDamaged when the file ends before, or kIo.
  Status Read(uint64_t offset, void* data, size_t size) const noexcept;

  // Whether the file has changed since it was opened, as far as its size and times tell.
  bool Changed() const noexcept;

 private:
  ProgramSource(std::string path, int descriptor, const struct stat& identity);
  static Result<ProgramSource> Of(std::string path, int descriptor);
  Status ReadAt(uint64_t offset, void* data, size_t size) const;

  std::string path_;
  int descriptor_;
  struct stat identity_;
  uint64_t offset_ = 0;
  uint64_t size_;
};

}  // namespace pwl

#endif  // PWL_PROGRAM_SOURCE_H_
