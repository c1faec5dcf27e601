// A model that C++ opens and calls: the measure of what Kotlin adds.
#include <jni.h>
#include <malloc.h>

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "pwl/make_engine.h"
#include "pwl/progressive_model.h"

namespace {

struct Model {
  std::unique_ptr<pwl::Engine> engine;
  std::unique_ptr<pwl::ProgressiveModel> model;
  std::vector<float> logits;
};

std::string Text(JNIEnv* env, jbyteArray bytes) {
  std::string text(static_cast<size_t>(env->GetArrayLength(bytes)), '\0');
  env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(text.size()),
                          reinterpret_cast<jbyte*>(text.data()));
  return text;
}

}  // namespace

extern "C" {

// A handle, or 0. Loads stage 0.
JNIEXPORT jlong JNICALL Java_dev_pwl_bench_Direct_open(JNIEnv* env, jclass, jbyteArray folder,
                                                       jbyteArray library) {
  auto bundle = pwl::Bundle::Open(Text(env, folder));
  if (!bundle.ok()) return 0;
  auto engine =
      pwl::MakeEngine(bundle->plan.backend, {bundle->plan.threads, Text(env, library), {}, ""});
  if (!engine.ok()) return 0;
  auto opened = std::make_unique<Model>();
  opened->engine = std::move(*engine);
  auto model = pwl::ProgressiveModel::Start(*bundle, opened->engine.get(), {}, nullptr, nullptr);
  if (!model.ok()) return 0;
  opened->model = std::move(*model);
  return reinterpret_cast<jlong>(opened.release());
}

JNIEXPORT void JNICALL Java_dev_pwl_bench_Direct_load(JNIEnv*, jclass, jlong handle, jint stage) {
  auto* const opened = reinterpret_cast<Model*>(handle);
  (void)opened->model->LoadInBackground(static_cast<size_t>(stage));
  (void)opened->model->WaitForLoading();
}

// Runs `count` inferences on a direct buffer. False after a failure.
JNIEXPORT jboolean JNICALL Java_dev_pwl_bench_Direct_run(JNIEnv* env, jclass, jlong handle,
                                                         jobject input, jint floats, jint count) {
  auto* const opened = reinterpret_cast<Model*>(handle);
  const auto* data = static_cast<const float*>(env->GetDirectBufferAddress(input));
  for (jint i = 0; i < count; ++i) {
    if (!opened->model->Infer({data, static_cast<size_t>(floats)}, &opened->logits).ok()) {
      return JNI_FALSE;
    }
  }
  return JNI_TRUE;
}

// Nanoseconds that all threads of the process have run.
JNIEXPORT jlong JNICALL Java_dev_pwl_bench_Direct_cpu(JNIEnv*, jclass) {
  struct timespec now = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<jlong>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

// Bytes that are allocated in the process and not freed.
JNIEXPORT jlong JNICALL Java_dev_pwl_bench_Direct_allocated(JNIEnv*, jclass) {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<jlong>(info.uordblks + info.hblkhd);
}

JNIEXPORT void JNICALL Java_dev_pwl_bench_Direct_close(JNIEnv*, jclass, jlong handle) {
  delete reinterpret_cast<Model*>(handle);
}
}
