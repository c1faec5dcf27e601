// A file mapped into memory, read only.
#ifndef PWL_SRC_MAPPED_FILE_H_
#define PWL_SRC_MAPPED_FILE_H_

#include <cstddef>
#include <memory>

#include "pwl/program_source.h"
#include "pwl/status.h"

namespace pwl {

class MappedFile {
 public:
  // Needs the source no longer than the call. An empty file cannot be mapped; one that was cut
  // short since it was opened is kDamaged.
  static Result<std::unique_ptr<MappedFile>> Map(const ProgramSource& source);
  ~MappedFile();

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const { return static_cast<const char*>(data_); }
  size_t size() const { return size_; }

  // Has no more read than what is touched: for a file of which a small part is wanted.
  void ReadSparsely();

  // Lets go of the memory behind a large mapping. What is read again comes back from the file.
  void DropPages();

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}

  void* const data_;
  const size_t size_;
};

}  // namespace pwl

#endif  // PWL_SRC_MAPPED_FILE_H_
