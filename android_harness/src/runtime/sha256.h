// SHA-256 (FIPS 180-4), for checking units on devices that have no crypto library to link.
#ifndef PWL_SRC_RUNTIME_SHA256_H_
#define PWL_SRC_RUNTIME_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "pwl/program_source.h"
#include "pwl/status.h"

namespace pwl {

class Sha256 {
 public:
  // What computes it: the processor's own instructions where there are some, some twenty times as
  // fast, or C++ alone.
  enum class Instructions { kFastest, kPortable };

  explicit Sha256(Instructions instructions = Instructions::kFastest);
  void Update(const void* data, size_t size);
  // The digest of all bytes so far in lower-case hexadecimal; the object is spent afterwards.
  std::string Finish();

 private:
  void (*blocks_)(uint32_t* state, const uint8_t* blocks, size_t count);
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> pending_;
  uint64_t total_ = 0;
};

// The digest of a whole file, read in pieces. `source` stays where it is.
Result<std::string> Sha256Of(const ProgramSource& source);
Result<std::string> Sha256OfFile(const std::string& path);

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_SHA256_H_
