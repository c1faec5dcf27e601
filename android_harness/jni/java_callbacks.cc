#include "java_callbacks.h"

#include <stdexcept>

namespace pwl::jni {
namespace {

// Written once, by JNI_OnLoad.
jmethodID g_stage_active = nullptr;
jmethodID g_stage_failed = nullptr;
jmethodID g_may_load = nullptr;
jmethodID g_may_go_on = nullptr;

// What mayLoad answers.
constexpr jint kMayNot = 0;
constexpr jint kMay = 1;

// Nobody above the loading thread would catch it.
bool Forget(JNIEnv* env) {
  if (env->ExceptionCheck() == JNI_FALSE) return false;
  env->ExceptionDescribe();
  env->ExceptionClear();
  return true;
}

}  // namespace

bool InitializeCallbacks(JNIEnv* env) {
  jclass callbacks = env->FindClass("dev/pwl/NativeCallbacks");
  if (callbacks == nullptr) return false;
  g_stage_active = env->GetMethodID(callbacks, "stageActive", "(I)V");
  if (g_stage_active == nullptr) return false;
  g_stage_failed = env->GetMethodID(callbacks, "stageFailed", "(II[B)V");
  if (g_stage_failed == nullptr) return false;
  g_may_load = env->GetMethodID(callbacks, "mayLoad", "(I)I");
  env->DeleteLocalRef(callbacks);
  if (g_may_load == nullptr) return false;
  jclass steps = env->FindClass("dev/pwl/NativeSteps");
  if (steps == nullptr) return false;
  g_may_go_on = env->GetMethodID(steps, "mayGoOn", "(II[BZ)Z");
  env->DeleteLocalRef(steps);
  return g_may_go_on != nullptr;
}

void JavaCallbacks::StageActive(const StageLoad& load) {
  JNIEnv* const env = Environment();
  if (env == nullptr) return;
  env->CallVoidMethod(callbacks_.get(), g_stage_active, static_cast<jint>(load.stage));
  Forget(env);
}

void JavaCallbacks::StageFailed(size_t stage, const Status& reason) {
  JNIEnv* const env = Environment();
  if (env == nullptr) return;
  jbyteArray message = Bytes(env, reason.message());
  Forget(env);  // null then: that it failed is told all the same
  env->CallVoidMethod(callbacks_.get(), g_stage_failed, static_cast<jint>(stage),
                      static_cast<jint>(reason.code()), message);
  Forget(env);
  // The loading thread has no frame that would.
  if (message != nullptr) env->DeleteLocalRef(message);
}

bool JavaCallbacks::MayLoad(size_t stage) const {
  JNIEnv* const env = Environment();
  if (env == nullptr) throw std::runtime_error("the JVM takes no more threads");
  const jint answer = env->CallIntMethod(callbacks_.get(), g_may_load, static_cast<jint>(stage));
  if (Forget(env) || (answer != kMay && answer != kMayNot)) {
    throw std::runtime_error("mayLoad threw an exception");
  }
  return answer == kMay;
}

bool JavaSteps::MayGoOn(const InstallStep& next) const {
  JNIEnv* const env = Environment("pwl-install");
  if (env == nullptr) throw std::runtime_error("the JVM takes no more threads");
  jbyteArray path = Bytes(env, next.path);
  if (Forget(env) || path == nullptr) throw std::runtime_error("Java has no memory left");
  const jboolean answer = env->CallBooleanMethod(
      steps_.get(), g_may_go_on, static_cast<jint>(next.number), static_cast<jint>(next.steps),
      path, static_cast<jboolean>(next.packs ? JNI_TRUE : JNI_FALSE));
  const bool failed = Forget(env);
  env->DeleteLocalRef(path);
  if (failed) throw std::runtime_error("telling what is installed failed");
  return answer != JNI_FALSE;
}

}  // namespace pwl::jni
