// VerifiedFiles: remembers which files have had their sha256 checked, so that a start need not.
//
// A file counts as verified as long as its device, inode, size and times of modification and change
// are what they were when it was hashed. The kernel sets the time of change on every write and
// rename, and no program can set it back. A file that changed within the last seconds before it was
// hashed is not remembered: a later write could leave the same time.
#ifndef PWL_VERIFIED_FILES_H_
#define PWL_VERIFIED_FILES_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "pwl/program_source.h"
#include "pwl/status.h"

namespace pwl {

// Its members may be called from every thread, and throw nothing. Those that are given a file block
// as long as asking the system about it takes; Save, until storage has what is written.
class VerifiedFiles {
 public:
  // Reads what was saved at `path`, a file in a folder that belongs to the app alone. Whatever is
  // wrong with it (missing, cut short, damaged) means that nothing is verified yet.
  explicit VerifiedFiles(std::string path) noexcept;

  // Whether the open file is one that had this sha256.
  bool Knows(const ProgramSource& source, const std::string& sha256) const noexcept;

  // Remembers that the open file has just been found to have this sha256.
  void Remember(const ProgramSource& source, const std::string& sha256) noexcept;

  // Writes what is remembered to the file, by a rename, if there is anything new, with what another
  // object has saved there meanwhile. kIo when that fails; then files are hashed again after the
  // next start.
  Status Save() noexcept;

 private:
  std::map<std::string, std::string> Read() const;
  Status Write();

  const std::string path_;
  mutable std::mutex mutex_;                 // guards what follows
  std::map<std::string, std::string> seen_;  // identity of a file -> its sha256
  bool changed_ = false;
};

}  // namespace pwl

#endif  // PWL_VERIFIED_FILES_H_
