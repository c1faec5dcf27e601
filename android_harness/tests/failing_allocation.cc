#include "tests/failing_allocation.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace pwl {
namespace {

std::atomic<bool> on{false};
std::atomic<long> made{0};
std::atomic<long> first_failure{0};
std::atomic<long> last_failure{0};
std::atomic<bool> any_failed{false};

void* Allocate(std::size_t size) noexcept {
  if (on.load(std::memory_order_relaxed)) {
    const long number = made++;
    if (number >= first_failure && number <= last_failure) {
      any_failed = true;
      return nullptr;
    }
  }
  return std::malloc(size > 0 ? size : 1);
}

}  // namespace

FailingAllocations::FailingAllocations(long after, long failures) {
  constexpr long kAll = 1L << 60;
  made = 0;
  first_failure = after;
  last_failure = failures < 0 ? kAll : after + failures - 1;
  any_failed = false;
  on = true;
}

bool FailingAllocations::Stop() {
  on = false;
  return any_failed;
}

}  // namespace pwl

// Of the program as a whole; the other forms call these.
void* operator new(std::size_t size) {
  if (void* const memory = pwl::Allocate(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return pwl::Allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
