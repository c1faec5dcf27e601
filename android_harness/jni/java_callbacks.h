// What the Kotlin half is told and asked by the loading thread.
#ifndef PWL_JNI_JAVA_CALLBACKS_H_
#define PWL_JNI_JAVA_CALLBACKS_H_

#include <jni.h>

#include <cstddef>

#include "java_environment.h"
#include "pwl/observer.h"

namespace pwl::jni {

// Finds the methods of dev.pwl.NativeCallbacks; see InitializeJava.
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

}  // namespace pwl::jni

#endif  // PWL_JNI_JAVA_CALLBACKS_H_
