// What tells a file from any other, and from itself before it was changed.
#ifndef PWL_SRC_RUNTIME_FILE_STAMP_H_
#define PWL_SRC_RUNTIME_FILE_STAMP_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "pwl/program_source.h"

namespace pwl {

// Device, inode, size, the times of modification and change, which the kernel sets and no program
// can set back, and the part of the file that the program is. Empty when the file changed so
// recently that a later write could leave the same times, or has changed since it was opened: then
// nothing can be told.
std::string FileStamp(const ProgramSource& source);

// How long it takes until FileStamp tells something of a file that changed just now, if it does not
// change again: two seconds at most, and nothing for one that changes in the future, after the
// clock was set back.
std::chrono::nanoseconds UntilSettled(const ProgramSource& source);

// Writes all bytes to an open file. False, with errno set, when that fails.
bool WriteWhole(int file, const void* data, size_t size);

// Writes a file by a rename, so that it is whole or was not there: `write` fills the open one.
// Threads and processes that replace the same file at once do not disturb each other; what one
// left that was killed meanwhile goes with the next.
Status ReplaceFile(const std::string& path, const std::function<Status(int file)>& write);

// The same for a short text.
Status ReplaceFile(const std::string& path, const std::string& text);

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_FILE_STAMP_H_
