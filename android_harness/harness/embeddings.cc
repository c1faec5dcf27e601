#include "harness/embeddings.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "harness/answer.h"

namespace pwl::harness {

bool EmbeddingCosines::Add(const std::vector<float>& embedding, Floats teacher) {
  if (embedding.size() != teacher.size) return false;
  double product = 0;
  double squares = 0;
  double teacher_squares = 0;
  for (size_t i = 0; i < embedding.size(); ++i) {
    const double one = embedding[i];
    const double other = teacher.data[i];
    product += one * other;
    squares += one * one;
    teacher_squares += other * other;
  }
  if (!AllFinite(embedding)) {
    cosines.push_back(std::numeric_limits<float>::quiet_NaN());
    ++lost;
    return true;
  }
  // A root of each: the product of both squares may be larger than a double.
  const double lengths = std::sqrt(squares) * std::sqrt(teacher_squares);
  const bool same = squares == 0 && teacher_squares == 0;
  const double cosine = lengths > 0 ? product / lengths : same ? 1 : 0;
  cosines.push_back(static_cast<float>(std::clamp(cosine, -1.0, 1.0)));
  return true;
}

}  // namespace pwl::harness
