// An inference library that is called from Kotlin: dev.pwl.KotlinEngine as an engine of the
// runtime.
#ifndef PWL_JNI_JAVA_ENGINE_H_
#define PWL_JNI_JAVA_ENGINE_H_

#include <jni.h>

#include <memory>
#include <string>
#include <utility>

#include "java_environment.h"
#include "pwl/engine.h"
#include "pwl/program_source.h"
#include "pwl/verified_files.h"

namespace pwl::jni {

// Finds the methods of dev.pwl.NativeEngine and NativeProgram; see InitializeJava.
bool InitializeEngine(JNIEnv* env);

// Such a library opens files by their paths. A program that is a whole file is opened through its
// descriptor, so that it is the very file that was checked; one that lies in another file, as in an
// APK, is copied into a folder first. A copy stays for the next start: it is used when its sha256
// is the plan's, which is remembered beside it, whether or not files are verified otherwise.
class JavaEngine final : public Engine {
 public:
  // `engine` is an object of dev.pwl.NativeEngine. `copies` is a folder that belongs to the app
  // alone.
  JavaEngine(JNIEnv* env, jobject engine, std::string version, std::string copies)
      : engine_(env, engine),
        version_(std::move(version)),
        copies_(std::move(copies)),
        checked_(copies_ + "/verified") {}

  Result<std::unique_ptr<Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                        LoadTimes* times) override;

  std::string Name() const override { return "kotlin " + version_; }
  std::string Version() const override { return version_; }

 private:
  // A copy that holds the program. kDamaged where the program is not what its sha256 says.
  Result<ProgramSource> CopyOf(const ProgramSource& source, const std::string& sha256);

  // Whether a copy is whole, and the program with that sha256.
  bool Holds(const ProgramSource& copy, const std::string& sha256);

  const GlobalReference engine_;
  const std::string version_;
  const std::string copies_;
  VerifiedFiles checked_;  // of the copies
};

}  // namespace pwl::jni

#endif  // PWL_JNI_JAVA_ENGINE_H_
