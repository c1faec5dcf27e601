// The programs of a plan, in the order in which stages need them.
#ifndef PWL_SRC_RUNTIME_PROGRAM_ORDER_H_
#define PWL_SRC_RUNTIME_PROGRAM_ORDER_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "pwl/bundle.h"

namespace pwl {

// Indices into LoadingPlan::artifacts, each once. Stages must be whole. Throws std::bad_alloc.
inline std::vector<size_t> ProgramOrder(const LoadingPlan& plan) {
  std::vector<size_t> order;
  for (const std::vector<size_t>& stage : plan.stages) {
    for (const size_t unit : stage) {
      if (std::find(order.begin(), order.end(), unit) == order.end()) order.push_back(unit);
    }
  }
  return order;
}

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_PROGRAM_ORDER_H_
