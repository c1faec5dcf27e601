// The JVM as the native half of the library sees it: threads, text, exceptions.
#ifndef PWL_JNI_JAVA_ENVIRONMENT_H_
#define PWL_JNI_JAVA_ENVIRONMENT_H_

#include <jni.h>

#include <string>
#include <string_view>

#include "pwl/status.h"

namespace pwl::jni {

// Finds what is called from here. Called once, by JNI_OnLoad. False, with a Java exception pending,
// if the Kotlin half is another version.
bool InitializeJava(JavaVM* vm, JNIEnv* env);

// The environment of the calling thread. A thread of ours is attached, as a daemon and under its
// name in the runtime, until it ends. Null when the JVM refuses.
JNIEnv* Environment(const char* name = "pwl-loader");

// Paths and messages cross as UTF-8 bytes: JNI's own strings know no characters beyond U+FFFF.
std::string Text(JNIEnv* env, jbyteArray utf8);

// Null, with an exception pending, when memory is short.
jbyteArray Bytes(JNIEnv* env, std::string_view text);

// Has the Java caller see the PwlException for a status that is not ok.
void Throw(JNIEnv* env, const Status& status);

// Has the Java caller see an OutOfMemoryError.
void ThrowOutOfMemory(JNIEnv* env);

// Has the Java caller see an IllegalArgumentException.
void ThrowIllegalArgument(JNIEnv* env, const char* why);

// An object that Java must not collect as long as this lives.
class GlobalReference {
 public:
  // Throws std::bad_alloc.
  GlobalReference(JNIEnv* env, jobject object);
  ~GlobalReference();
  GlobalReference(const GlobalReference&) = delete;
  GlobalReference& operator=(const GlobalReference&) = delete;

  jobject get() const { return object_; }

 private:
  const jobject object_;
};

}  // namespace pwl::jni

#endif  // PWL_JNI_JAVA_ENVIRONMENT_H_
