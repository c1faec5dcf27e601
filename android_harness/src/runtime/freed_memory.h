// Memory that was freed and that the allocator keeps.
#ifndef PWL_SRC_RUNTIME_FREED_MEMORY_H_
#define PWL_SRC_RUNTIME_FREED_MEMORY_H_

namespace pwl {

// Has the allocator give what was freed back to the system, instead of keeping it for what is
// allocated next. Takes up to a few milliseconds; does nothing where the C library cannot.
void GiveBackFreedMemory() noexcept;

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_FREED_MEMORY_H_
