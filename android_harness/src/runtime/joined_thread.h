// A thread that ends with its owner, or none where the system has no more of them.
#ifndef PWL_SRC_RUNTIME_JOINED_THREAD_H_
#define PWL_SRC_RUNTIME_JOINED_THREAD_H_

#include <thread>
#include <utility>

namespace pwl {

// Used by one thread.
class JoinedThread {
 public:
  JoinedThread() = default;
  ~JoinedThread() { Join(); }
  JoinedThread(const JoinedThread&) = delete;
  JoinedThread& operator=(const JoinedThread&) = delete;

  // Has `work`, which throws nothing, done by a thread. False where no thread or no memory is to be
  // had. Called once.
  template <typename Work>
  bool Begin(Work work) noexcept {
    try {
      thread_ = std::thread(std::move(work));
    } catch (...) {
      return false;
    }
    return true;
  }

  // Waits until the work is done, if there is any.
  void Join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_JOINED_THREAD_H_
