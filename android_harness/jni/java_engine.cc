#include "java_engine.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <vector>

#include "runtime/clock.h"
#include "runtime/file_stamp.h"
#include "runtime/padded_floats.h"
#include "runtime/sha256.h"

namespace pwl::jni {
namespace {

// Written once, by JNI_OnLoad.
jmethodID g_load = nullptr;     // NativeEngine.load(byte[], byte[], ByteBuffer, ByteBuffer)
jmethodID g_failure = nullptr;  // NativeProgram.failure(): byte[]
jmethodID g_run = nullptr;      // NativeProgram.run(): byte[]
jmethodID g_close = nullptr;    // NativeProgram.close()

constexpr jint kLocalReferences = 16;

// The references that a call makes, which the loading thread would keep until it ends.
class LocalFrame {
 public:
  explicit LocalFrame(JNIEnv* env) : env_(env) {
    if (env_->PushLocalFrame(kLocalReferences) != JNI_OK) {
      env_->ExceptionClear();
      throw std::bad_alloc();
    }
  }
  ~LocalFrame() { env_->PopLocalFrame(nullptr); }
  LocalFrame(const LocalFrame&) = delete;
  LocalFrame& operator=(const LocalFrame&) = delete;

 private:
  JNIEnv* const env_;
};

// What Kotlin answered: null, or why it failed.
Status Failure(JNIEnv* env, Code code, jobject message) {
  if (env->ExceptionCheck() == JNI_TRUE) {
    env->ExceptionClear();  // a lack of memory, also for the message of what was thrown
    return {Code::kRuntime, "no memory in Java"};
  }
  if (message == nullptr) return {};
  return {code, Text(env, static_cast<jbyteArray>(message))};
}

// A direct buffer of floats that Java sees, too; it must not be used when they are gone.
jobject Buffer(JNIEnv* env, const PaddedFloats& floats) {
  return env->NewDirectByteBuffer(floats.data(), static_cast<jlong>(floats.size() * sizeof(float)));
}

class JavaProgram final : public Program {
 public:
  explicit JavaProgram(const ProgramSpec& spec) {
    if (!input_.Allocate(spec.floats_in) || !output_.Allocate(spec.floats_out)) {
      throw std::bad_alloc();
    }
  }

  ~JavaProgram() override {
    JNIEnv* const env = program_ == nullptr ? nullptr : Environment();
    if (env == nullptr) return;
    env->CallVoidMethod(program_->get(), g_close);
    if (env->ExceptionCheck() == JNI_TRUE) env->ExceptionClear();
  }

  Status Load(JNIEnv* env, jobject engine, const std::string& path, const std::string& sha256) {
    const LocalFrame frame(env);
    jobject input = Buffer(env, input_);
    jobject output = Buffer(env, output_);
    jbyteArray where = Bytes(env, path);
    jbyteArray which = Bytes(env, sha256);
    if (env->ExceptionCheck() == JNI_TRUE) return Failure(env, Code::kRuntime, nullptr);
    jobject program = env->CallObjectMethod(engine, g_load, where, which, input, output);
    if (env->ExceptionCheck() == JNI_TRUE) return Failure(env, Code::kRuntime, nullptr);
    jobject failure = env->CallObjectMethod(program, g_failure);
    if (Status status = Failure(env, Code::kIncompatible, failure); !status.ok()) return status;
    program_ = std::make_unique<GlobalReference>(env, program);
    return {};
  }

  size_t floats_in() const override { return input_.size(); }
  size_t floats_out() const override { return output_.size(); }

  Result<Floats> Run(Floats input) override {
    if (Status status = RequireFloats(input, floats_in()); !status.ok()) return status;
    JNIEnv* const env = Environment();
    if (env == nullptr) return Status(Code::kRuntime, "the JVM takes no more threads");
    const LocalFrame frame(env);
    std::memcpy(input_.data(), input.data, input.size * sizeof(float));
    jobject failure = env->CallObjectMethod(program_->get(), g_run);
    if (Status status = Failure(env, Code::kRuntime, failure); !status.ok()) return status;
    return output_.view();
  }

 private:
  PaddedFloats input_;
  PaddedFloats output_;
  std::unique_ptr<GlobalReference> program_;  // of dev.pwl.NativeProgram
};

bool IsWholeFile(const ProgramSource& source) {
  return source.offset() == 0 && source.size() == static_cast<uint64_t>(source.identity().st_size);
}

// Copies a program into a file that gets its name when it is whole.
Status Copy(const ProgramSource& source, const std::string& target) {
  return ReplaceFile(target, [&](int file) -> Status {
    std::vector<char> block(size_t{1} << 16);
    for (uint64_t at = 0; at < source.size();) {
      const auto count = static_cast<size_t>(std::min<uint64_t>(block.size(), source.size() - at));
      if (Status status = source.Read(at, block.data(), count); !status.ok()) return status;
      if (!WriteWhole(file, block.data(), count)) return FileError(target);
      at += count;
    }
    return {};
  });
}

}  // namespace

bool InitializeEngine(JNIEnv* env) {
  jclass engine = env->FindClass("dev/pwl/NativeEngine");
  if (engine == nullptr) return false;
  g_load = env->GetMethodID(engine, "load",
                            "([B[BLjava/nio/ByteBuffer;Ljava/nio/ByteBuffer;)"
                            "Ldev/pwl/NativeProgram;");
  env->DeleteLocalRef(engine);
  jclass program = g_load == nullptr ? nullptr : env->FindClass("dev/pwl/NativeProgram");
  if (program == nullptr) return false;
  g_failure = env->GetMethodID(program, "failure", "()[B");
  if (g_failure != nullptr) g_run = env->GetMethodID(program, "run", "()[B");
  if (g_run != nullptr) g_close = env->GetMethodID(program, "close", "()V");
  env->DeleteLocalRef(program);
  return g_close != nullptr;
}

Result<std::unique_ptr<Program>> JavaEngine::Load(const ProgramSource& source,
                                                  const ProgramSpec& spec, LoadTimes* times) {
  JNIEnv* const env = Environment();
  if (env == nullptr) return Status(Code::kRuntime, "the JVM takes no more threads");
  const int64_t begin = NowNs();
  std::optional<ProgramSource> copy;  // open until the library has read it
  if (!IsWholeFile(source)) {
    Result<ProgramSource> made = CopyOf(source, spec.sha256);
    if (!made.ok()) return made.status();
    copy = std::move(*made);
  }
  const int file = copy ? copy->descriptor() : source.descriptor();
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  auto program = std::make_unique<JavaProgram>(spec);
  if (Status status = program->Load(env, engine_.get(), path, spec.sha256); !status.ok()) {
    return status;
  }
  times->prepare_ns += NowNs() - begin;
  return std::unique_ptr<Program>(std::move(program));
}

Result<ProgramSource> JavaEngine::CopyOf(const ProgramSource& source, const std::string& sha256) {
  const std::string path = copies_ + "/" + sha256;
  Result<ProgramSource> there = ProgramSource::Open(path);
  if (there.ok() && Holds(*there, sha256)) return there;
  if (Status status = Copy(source, path); !status.ok()) return status;
  Result<ProgramSource> copy = ProgramSource::Open(path);
  if (!copy.ok() || Holds(*copy, sha256)) return copy;
  unlink(path.c_str());
  return Status(Code::kDamaged, source.path() + " has not the sha256 that the plan says");
}

bool JavaEngine::Holds(const ProgramSource& copy, const std::string& sha256) {
  if (checked_.Knows(copy, sha256)) return true;
  const Result<std::string> digest = Sha256Of(copy);
  if (!digest.ok() || *digest != sha256) return false;
  checked_.Remember(copy, sha256);
  (void)checked_.Save();  // otherwise it is hashed again next time
  return true;
}

}  // namespace pwl::jni
