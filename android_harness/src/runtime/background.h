// Threads that work while nobody waits for them.
#ifndef PWL_SRC_RUNTIME_BACKGROUND_H_
#define PWL_SRC_RUNTIME_BACKGROUND_H_

#include <sys/resource.h>

namespace pwl {

// Gives the calling thread what Android calls THREAD_PRIORITY_BACKGROUND, for good: Linux has a
// priority for each thread, and lets none of an app's go up again.
inline void TakeBackgroundPriority() noexcept {
  constexpr int kBackground = 10;
  (void)setpriority(PRIO_PROCESS, 0, kBackground);
}

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_BACKGROUND_H_
