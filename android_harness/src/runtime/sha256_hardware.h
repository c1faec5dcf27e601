// SHA-256 by the processor's own instructions, where it has some.
#ifndef PWL_SRC_RUNTIME_SHA256_HARDWARE_H_
#define PWL_SRC_RUNTIME_SHA256_HARDWARE_H_

#include <cstddef>
#include <cstdint>

namespace pwl {

// Works `count` blocks of 64 bytes into the eight words of a state.
using Sha256Blocks = void (*)(uint32_t* state, const uint8_t* blocks, size_t count);

// The function of this processor, or nullptr when it has no such instructions.
Sha256Blocks HardwareSha256();

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
extern const uint32_t kSha256Round[64];

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_SHA256_HARDWARE_H_
