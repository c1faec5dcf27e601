// A descriptor that is closed with its scope.
#ifndef PWL_SRC_RUNTIME_DESCRIPTOR_H_
#define PWL_SRC_RUNTIME_DESCRIPTOR_H_

#include <unistd.h>

#include <cerrno>

namespace pwl {

class Descriptor {
 public:
  // Takes over what open gave, which is negative where that failed.
  explicit Descriptor(int number) : number_(number) {}
  // Leaves errno as it is: what failed before may still have to be said.
  ~Descriptor() {
    const int error = errno;
    if (number_ >= 0) close(number_);
    errno = error;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool valid() const { return number_ >= 0; }
  int get() const { return number_; }

 private:
  const int number_;
};

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_DESCRIPTOR_H_
