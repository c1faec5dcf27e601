// Status and Result: how the runtime reports failure. No exception crosses its interface.
#ifndef PWL_STATUS_H_
#define PWL_STATUS_H_

#include <optional>
#include <string>
#include <utility>

namespace pwl {

// The closed set of reasons for a failure.
enum class Code {
  kOk,
  kUsage,         // the caller asked for something that does not exist
  kInvalidPlan,   // the plan's text is wrong or cut short
  kMissing,       // a file is not there
  kDamaged,       // a file is there but is not what the plan says
  kIncompatible,  // a program that this runtime cannot run, or that does not fit its place
  kRuntime,       // the engine failed while running
  kIo,            // the operating system refused
  kCancelled,     // it was told to stop
  kTimedOut,      // it goes on, but the caller did not want to wait longer
  kNotCold,       // pages of a file stay in memory although they were to be evicted
  kNotFinite,     // logits hold NaN or infinity
};

// The name of a code in messages, such as "damaged". Throws nothing.
const char* CodeName(Code code) noexcept;

// A value: different threads use different ones. Copying it throws std::bad_alloc at most, moving
// it and reading it nothing.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// What `errno` says about a file: kMissing, kDamaged for what is no file, or kIo. Throws
// std::bad_alloc at most.
Status FileError(const std::string& path);

// A value, or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace pwl

#endif  // PWL_STATUS_H_
