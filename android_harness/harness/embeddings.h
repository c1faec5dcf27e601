// Embeddings: vectors that are near a teacher's or not.
#ifndef PWL_HARNESS_EMBEDDINGS_H_
#define PWL_HARNESS_EMBEDDINGS_H_

#include <cstdint>
#include <vector>

#include "pwl/engine.h"

namespace pwl::harness {

// The cosines of some embeddings to those that a teacher gives the same images.
struct EmbeddingCosines {
  // By image, in order, summed in double; NaN of an embedding that holds NaN or infinity.
  std::vector<float> cosines;
  int64_t lost = 0;  // how many hold NaN or infinity

  // Adds an image. Zeros alone have no direction: their cosine is 1 to zeros, and 0 to all else.
  // False for lengths that differ.
  bool Add(const std::vector<float>& embedding, Floats teacher);
};

}  // namespace pwl::harness

#endif  // PWL_HARNESS_EMBEDDINGS_H_
