// What the Kotlin half is told and asked by the threads that load and install.
#ifndef PWL_JNI_JAVA_CALLBACKS_H_
#define PWL_JNI_JAVA_CALLBACKS_H_

#include <jni.h>

#include <cstddef>

#include "java_environment.h"
#include "pwl/install.h"
#include "pwl/observer.h"

namespace pwl::jni {

// Finds the methods of dev.pwl.NativeCallbacks and NativeSteps; see InitializeJava.
bool InitializeCallbacks(JNIEnv* env);

// An object of dev.pwl.NativeCallbacks, which never throws but for a lack of memory.
class JavaCallbacks final : public Observer {
 public:
  JavaCallbacks(JNIEnv* env, jobject callbacks) : callbacks_(env, callbacks) {}

  void StageActive(const StageLoad& load) override;
  void StageFailed(size_t stage, const Status& reason) override;

  // Whether a later stage may be loaded now; may block. Throws std::runtime_error if the app's
  // function did.
  bool MayLoad(size_t stage) const;

 private:
  const GlobalReference callbacks_;
};

// An object of dev.pwl.NativeSteps, which never throws but for a lack of memory.
class JavaSteps {
 public:
  JavaSteps(JNIEnv* env, jobject steps) : steps_(env, steps) {}

  // Tells what installing does next, and whether it is still wanted; may block. Throws
  // std::runtime_error where the JVM fails.
  bool MayGoOn(const InstallStep& next) const;

 private:
  const GlobalReference steps_;
};

}  // namespace pwl::jni

#endif  // PWL_JNI_JAVA_CALLBACKS_H_
