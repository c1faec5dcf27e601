// Whether running a program before it serves is worth what it takes.
#ifndef PWL_SRC_RUNTIME_WARM_UP_H_
#define PWL_SRC_RUNTIME_WARM_UP_H_

#include <cstdint>

namespace pwl {

// What a run of this thread took.
struct RunCost {
  int64_t cpu_ns = 0;   // of this thread's time on a processor
  int64_t touched = 0;  // bytes of pages that this thread had not touched before
};

// Of this thread so far; the difference of two is what happened between.
RunCost CostSoFar();

// Whether a program like that gains by a run before it serves: memory that is touched for the first
// time is a good part of what the run took, or it took next to nothing.
constexpr bool WarmUpPays(RunCost run) {
  constexpr int64_t kNothing = 200'000;       // ns
  constexpr int64_t kTouchedEachMicro = 512;  // bytes: an eighth of a page, 0.1 to 0.2 of the time
  return run.cpu_ns < kNothing || run.touched >= run.cpu_ns / 1000 * kTouchedEachMicro;
}

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_WARM_UP_H_
