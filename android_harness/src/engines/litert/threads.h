// How many threads a program is given.
//
// LiteRT makes a pool of threads for every program (2.3; its options name no pool to share), and
// the threads of a pool spin for a while after each operator, in the way of the next program's. So
// pools are for programs that compute for longer than it takes to wake them.
#ifndef PWL_SRC_ENGINES_LITERT_THREADS_H_
#define PWL_SRC_ENGINES_LITERT_THREADS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace pwl::litert {

// One thread for a program that is done within about a tenth of a millisecond, such as an encoder
// between two blocks; otherwise as many as are asked for. A weight takes a byte at least and is
// used once at each position, of which there are fewer than values at the larger edge.
constexpr int ThreadsFor(int threads, uint64_t bytes, size_t floats_in, size_t floats_out) {
  constexpr uint64_t kShort = uint64_t{1} << 30;
  const uint64_t values = std::max<uint64_t>({1, floats_in, floats_out});
  return bytes <= kShort / values ? 1 : threads;
}

}  // namespace pwl::litert

#endif  // PWL_SRC_ENGINES_LITERT_THREADS_H_
