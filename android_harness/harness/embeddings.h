// Embeddings: vectors that are near a teacher's or not.
#ifndef PWL_HARNESS_EMBEDDINGS_H_
#define PWL_HARNESS_EMBEDDINGS_H_

#include <cstdint>
#include <vector>

#include "pwl/engine.h"

namespace pwl::harness {

// The cosines of some embeddings to those that a teacher gives the same images.
struct EmbeddingCosines {
  // By image, in order, summed in double; NaN of an embedding without a direction.
  std::vector<float> cosines;
  int64_t lost = 0;  // how many have none: they hold NaN or infinity, or nothing but zeros

  // Adds an image. A teacher's embedding of zeros has a cosine of 0 to any. False for lengths that
  // differ.
  bool Add(const std::vector<float>& embedding, Floats teacher);
};

}  // namespace pwl::harness

#endif  // PWL_HARNESS_EMBEDDINGS_H_
