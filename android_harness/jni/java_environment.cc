#include "java_environment.h"

#include <cstdint>
#include <new>

namespace pwl::jni {
namespace {

// Written once, before any other function of the library can be called.
JavaVM* g_vm = nullptr;
jclass g_failures = nullptr;      // dev.pwl.NativeFailures
jmethodID g_exception = nullptr;  // its exception(int, byte[])

void ThrowNew(JNIEnv* env, const char* type, const char* why) {
  jclass error = env->FindClass(type);
  if (error != nullptr) env->ThrowNew(error, why);
}

}  // namespace

bool InitializeJava(JavaVM* vm, JNIEnv* env) {
  g_vm = vm;
  jclass failures = env->FindClass("dev/pwl/NativeFailures");
  if (failures == nullptr) return false;
  g_failures = static_cast<jclass>(env->NewGlobalRef(failures));
  g_exception = env->GetStaticMethodID(failures, "exception", "(I[B)Ldev/pwl/PwlException;");
  env->DeleteLocalRef(failures);
  return g_failures != nullptr && g_exception != nullptr;
}

JNIEnv* Environment(const char* name) {
  void* env = nullptr;
  if (g_vm->GetEnv(&env, JNI_VERSION_1_6) == JNI_OK) return static_cast<JNIEnv*>(env);
  struct Attachment {
    ~Attachment() { g_vm->DetachCurrentThread(); }
  };
  // jni.h declares it without const.
  JavaVMAttachArgs arguments{JNI_VERSION_1_6, const_cast<char*>(name), nullptr};
#ifdef __ANDROID__
  JNIEnv* attached = nullptr;
  if (g_vm->AttachCurrentThreadAsDaemon(&attached, &arguments) != JNI_OK) return nullptr;
  env = attached;
#else
  if (g_vm->AttachCurrentThreadAsDaemon(&env, &arguments) != JNI_OK) return nullptr;
#endif
  thread_local const Attachment attachment;
  (void)attachment;
  return static_cast<JNIEnv*>(env);
}

std::string Text(JNIEnv* env, jbyteArray utf8) {
  std::string text(static_cast<size_t>(env->GetArrayLength(utf8)), '\0');
  env->GetByteArrayRegion(utf8, 0, static_cast<jsize>(text.size()),
                          reinterpret_cast<jbyte*>(text.data()));
  return text;
}

jbyteArray Bytes(JNIEnv* env, std::string_view text) {
  const auto size = static_cast<jsize>(text.size());
  jbyteArray bytes = env->NewByteArray(size);
  if (bytes == nullptr) return nullptr;
  env->SetByteArrayRegion(bytes, 0, size, reinterpret_cast<const jbyte*>(text.data()));
  return bytes;
}

void Throw(JNIEnv* env, const Status& status) {
  jbyteArray message = Bytes(env, status.message());
  if (message == nullptr) return;  // then that is the exception
  auto* exception = static_cast<jthrowable>(env->CallStaticObjectMethod(
      g_failures, g_exception, static_cast<jint>(status.code()), message));
  if (exception != nullptr && env->ExceptionCheck() == JNI_FALSE) env->Throw(exception);
}

void ThrowOutOfMemory(JNIEnv* env) {
  ThrowNew(env, "java/lang/OutOfMemoryError", "no memory for an inference or a model");
}

void ThrowIllegalArgument(JNIEnv* env, const char* why) {
  ThrowNew(env, "java/lang/IllegalArgumentException", why);
}

GlobalReference::GlobalReference(JNIEnv* env, jobject object) : object_(env->NewGlobalRef(object)) {
  if (object_ == nullptr) throw std::bad_alloc();
}

GlobalReference::~GlobalReference() {
  if (JNIEnv* env = Environment()) env->DeleteGlobalRef(object_);
}

}  // namespace pwl::jni
