#include "harness/frames.h"

#include <time.h>

#include <cerrno>

#include "runtime/clock.h"

namespace pwl::harness {
namespace {

constexpr int64_t kSecond = 1000000000;

void SleepUntil(int64_t at_ns) {
  timespec at{};
  at.tv_sec = static_cast<time_t>(at_ns / kSecond);
  at.tv_nsec = static_cast<long>(at_ns % kSecond);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
  }
}

}  // namespace

int64_t Frames::BeginOf(int64_t frame) const { return origin_ns_ + frame * kSecond / fps_; }

int64_t Frames::NewestAt(int64_t now_ns) const {
  if (now_ns < origin_ns_) return -1;
  int64_t frame = (now_ns - origin_ns_) * fps_ / kSecond;
  // BeginOf rounds down, so the next one may have begun within this nanosecond.
  while (BeginOf(frame + 1) <= now_ns) ++frame;
  return frame;
}

int64_t Frames::WaitForFrameAfter(int64_t last) const {
  while (true) {
    const int64_t newest = NewestAt(NowNs());
    if (newest > last) return newest;
    SleepUntil(BeginOf(last + 1));
  }
}

}  // namespace pwl::harness
