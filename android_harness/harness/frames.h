// Frames that come at a fixed rate whatever becomes of them, as from a camera: the open loop of a
// measurement. Frame k begins k / rate seconds after the origin and ends where the next one begins.
#ifndef PWL_HARNESS_FRAMES_H_
#define PWL_HARNESS_FRAMES_H_

#include <cstdint>

namespace pwl::harness {

class Frames {
 public:
  // `origin_ns`: when frame 0 begins, NowNs(). `fps`: how many come in a second; above 0.
  Frames(int64_t origin_ns, int fps) : origin_ns_(origin_ns), fps_(fps) {}

  // When a frame begins, NowNs().
  int64_t BeginOf(int64_t frame) const;

  // The newest frame that has begun at that time, NowNs(); negative before the first one.
  int64_t NewestAt(int64_t now_ns) const;

  // Blocks until a frame after `last` has begun, and gives the newest one that has: an app that was
  // late takes the frame that is there, and leaves those out that it has missed.
  int64_t WaitForFrameAfter(int64_t last) const;

 private:
  const int64_t origin_ns_;
  const int64_t fps_;
};

}  // namespace pwl::harness

#endif  // PWL_HARNESS_FRAMES_H_
