// Lets operator new fail for everything in this program, so that every allocation can be tried.
#ifndef PWL_TESTS_FAILING_ALLOCATION_H_
#define PWL_TESTS_FAILING_ALLOCATION_H_

namespace pwl {

// While it lives, allocations of this process fail, in all threads.
class FailingAllocations {
 public:
  // `after` of them succeed first. Then `failures` fail, or with a negative number all of them.
  FailingAllocations(long after, long failures);
  ~FailingAllocations() { Stop(); }
  FailingAllocations(const FailingAllocations&) = delete;
  FailingAllocations& operator=(const FailingAllocations&) = delete;

  // Ends it, and says whether any allocation has failed.
  static bool Stop();
};

}  // namespace pwl

#endif  // PWL_TESTS_FAILING_ALLOCATION_H_
