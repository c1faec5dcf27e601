// A program mapped into memory, read only.
#ifndef PWL_SRC_ENGINES_MAPPED_FILE_H_
#define PWL_SRC_ENGINES_MAPPED_FILE_H_

#include <cstddef>
#include <memory>

#include "pwl/program_source.h"
#include "pwl/status.h"

namespace pwl {

class MappedFile {
 public:
  // Engines read programs as if they began at a multiple of so many bytes.
  static constexpr size_t kAlignment = 16;

  // Needs the source no longer than the call. An empty file cannot be mapped; one that was cut
  // short since it was opened is kDamaged. A part of a file that lies at no multiple of kAlignment
  // is copied into memory instead.
  static Result<std::unique_ptr<MappedFile>> Map(const ProgramSource& source);
  ~MappedFile();

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const { return static_cast<const char*>(data_) + begin_; }
  size_t size() const { return size_ - begin_; }

  // Has no more read than what is touched: for a file of which a small part is wanted.
  void ReadSparsely();

  // Lets go of the memory behind a large mapping. What is read again comes back from the file.
  void DropPages();

 private:
  MappedFile(void* data, size_t size, size_t begin, bool copied)
      : data_(data), size_(size), begin_(begin), copied_(copied) {}
  static Result<std::unique_ptr<MappedFile>> Copy(const ProgramSource& source);

  void* const data_;
  const size_t size_;   // of the mapping
  const size_t begin_;  // of the program in it
  const bool copied_;   // what is let go of would not come back
};

}  // namespace pwl

#endif  // PWL_SRC_ENGINES_MAPPED_FILE_H_
