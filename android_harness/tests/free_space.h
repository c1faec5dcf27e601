// Lets storage look as if it had room, as it had before somebody else filled it.
#ifndef PWL_TESTS_FREE_SPACE_H_
#define PWL_TESTS_FREE_SPACE_H_

namespace pwl {

// While it lives, statvfs tells this process of a terabyte that is free.
class PretendedFreeSpace {
 public:
  PretendedFreeSpace();
  ~PretendedFreeSpace();
  PretendedFreeSpace(const PretendedFreeSpace&) = delete;
  PretendedFreeSpace& operator=(const PretendedFreeSpace&) = delete;
};

}  // namespace pwl

#endif  // PWL_TESTS_FREE_SPACE_H_
