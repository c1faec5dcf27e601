// The native methods of dev.pwl.NativeModel. No C++ exception leaves a function of this file.

#include <jni.h>

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <vector>

#include "java_callbacks.h"
#include "java_engine.h"
#include "java_environment.h"
#include "model_session.h"
#include "runtime/padded_floats.h"

namespace pwl::jni {
namespace {

// NativeFailures.kt makes exceptions of these numbers.
static_assert(static_cast<int>(Code::kUsage) == 1 && static_cast<int>(Code::kInvalidPlan) == 2 &&
              static_cast<int>(Code::kMissing) == 3 && static_cast<int>(Code::kDamaged) == 4 &&
              static_cast<int>(Code::kIncompatible) == 5 && static_cast<int>(Code::kRuntime) == 6 &&
              static_cast<int>(Code::kIo) == 7 && static_cast<int>(Code::kCancelled) == 8 &&
              static_cast<int>(Code::kTimedOut) == 9 && static_cast<int>(Code::kNotCold) == 10 &&
              static_cast<int>(Code::kNotFinite) == 11);
// So does ProgressiveModel.kt of these.
static_assert(static_cast<int>(WeightCacheBuilder::Outcome::kThere) == 0 &&
              static_cast<int>(WeightCacheBuilder::Outcome::kBuilt) == 1 &&
              static_cast<int>(WeightCacheBuilder::Outcome::kWithout) == 2 &&
              static_cast<int>(WeightCacheBuilder::Outcome::kBusy) == 3);

// Calls what gives a status, and has Java see a failure.
template <typename Call>
void Run(JNIEnv* env, Call call) {
  try {
    if (const Status status = call(); !status.ok()) Throw(env, status);
  } catch (const std::bad_alloc&) {
    ThrowOutOfMemory(env);
  }
}

ModelSession& Of(jlong handle) { return *reinterpret_cast<ModelSession*>(handle); }

// A copy of an array, in room that is used again. Throws std::bad_alloc.
Floats CopyOf(JNIEnv* env, jfloatArray from, PaddedFloats* room) {
  const auto size = static_cast<size_t>(env->GetArrayLength(from));
  if (size > room->size() && !room->Allocate(size)) throw std::bad_alloc();
  env->GetFloatArrayRegion(from, 0, static_cast<jsize>(size), room->data());
  return {room->data(), size, /*padded=*/true};
}

// The stage that answered, or -1 with an exception pending.
jint Infer(JNIEnv* env, jlong handle, Floats input, jfloatArray logits) {
  thread_local std::vector<float> values;  // used again: no allocation in the second call
  jint stage = -1;
  Run(env, [&]() -> Status {
    const Result<size_t> answered = Of(handle).model().Infer(input, &values);
    if (!answered.ok()) return answered.status();
    env->SetFloatArrayRegion(logits, 0, static_cast<jsize>(values.size()), values.data());
    stage = static_cast<jint>(*answered);
    return {};
  });
  return stage;
}

jlong Create(JNIEnv* env, jclass) {
  jlong handle = 0;
  Run(env, [&] {
    handle = reinterpret_cast<jlong>(new ModelSession());
    return Status();
  });
  return handle;
}

void AddFolder(JNIEnv* env, jclass, jlong handle, jbyteArray folder) {
  Run(env, [&] {
    Of(handle).files().AddFolder(Text(env, folder));
    return Status();
  });
}

void AddSlice(JNIEnv* env, jclass, jlong handle, jbyteArray path, jint descriptor, jlong offset,
              jlong length) {
  Run(env, [&] {
    return Of(handle).files().AddSlice(Text(env, path), descriptor, static_cast<uint64_t>(offset),
                                       static_cast<uint64_t>(length));
  });
}

void UseCaches(JNIEnv* env, jclass, jlong handle, jbyteArray folder, jbyteArray runtime,
               jlong quota) {
  Run(env, [&] {
    Of(handle).UseCaches(Text(env, folder), Text(env, runtime), static_cast<uint64_t>(quota));
    return Status();
  });
}

// `engine` is a NativeEngine, and `copies` a folder for programs that it cannot open where they
// are.
void UseEngine(JNIEnv* env, jclass, jlong handle, jobject engine, jbyteArray version,
               jbyteArray copies) {
  Run(env, [&] {
    Of(handle).UseEngine(
        std::make_unique<JavaEngine>(env, engine, Text(env, version), Text(env, copies)));
    return Status();
  });
}

SessionOptions OptionsOf(JNIEnv* env, jint threads, jbyteArray library, jbyteArray stamps) {
  SessionOptions options;
  options.threads = threads;
  options.library = Text(env, library);
  options.stamps = Text(env, stamps);
  return options;
}

void Write(JNIEnv* env, std::initializer_list<size_t> counts, jintArray into) {
  std::vector<jint> found;
  for (const size_t count : counts) found.push_back(static_cast<jint>(count));
  env->SetIntArrayRegion(into, 0, static_cast<jsize>(found.size()), found.data());
}

// Writes what was done into `counts`: hashed, known, built, there, without.
void Install(JNIEnv* env, jclass, jlong handle, jint threads, jbyteArray library, jbyteArray stamps,
             jobject steps, jintArray counts) {
  Run(env, [&]() -> Status {
    const SessionOptions options = OptionsOf(env, threads, library, stamps);
    const JavaSteps asked(env, steps);
    const Result<Installed> done = Of(handle).Install(
        options, [&asked](const InstallStep& next) { return asked.MayGoOn(next); });
    if (!done.ok()) return done.status();
    Write(env, {done->hashed, done->known, done->built, done->there, done->without}, counts);
    return {};
  });
}

// Writes floats of an input, classes and stages into `sizes`.
void Start(JNIEnv* env, jclass, jlong handle, jint threads, jbyteArray library, jboolean verify,
           jbyteArray stamps, jobject callbacks, jintArray sizes) {
  Run(env, [&] {
    SessionOptions options = OptionsOf(env, threads, library, stamps);
    options.verify = verify != JNI_FALSE;
    ModelSession& session = Of(handle);
    const Status status = session.Start(options, std::make_shared<JavaCallbacks>(env, callbacks));
    if (!status.ok()) return status;
    const LoadingPlan& plan = session.plan();
    Write(env, {plan.floats_in, plan.classes, plan.stages.size()}, sizes);
    return Status();
  });
}

jint RunArray(JNIEnv* env, jclass, jlong handle, jfloatArray input, jfloatArray logits) {
  thread_local PaddedFloats room;
  Floats copy;
  Run(env, [&] {
    copy = CopyOf(env, input, &room);
    return Status();
  });
  return copy.data == nullptr ? -1 : Infer(env, handle, copy, logits);
}

// Reads `floats` values of a direct buffer in place, from byte `position` on.
jint RunDirect(JNIEnv* env, jclass, jlong handle, jobject input, jint position, jint floats,
               jfloatArray logits) {
  const auto* bytes = static_cast<const char*>(env->GetDirectBufferAddress(input));
  // A slice may begin anywhere; null: the JVM gives no address.
  if (bytes == nullptr || (reinterpret_cast<uintptr_t>(bytes) + position) % alignof(float) != 0) {
    ThrowIllegalArgument(env, "the floats do not begin at a multiple of 4 in memory");
    return -1;
  }
  const auto* data = reinterpret_cast<const float*>(bytes + position);
  return Infer(env, handle, {data, static_cast<size_t>(floats), /*padded=*/false}, logits);
}

void Advance(JNIEnv* env, jclass, jlong handle, jint up_to) {
  Run(env, [&] { return Of(handle).model().LoadInBackground(static_cast<size_t>(up_to)); });
}

void Retreat(JNIEnv* env, jclass, jlong handle, jint to) {
  Run(env, [&] { return Of(handle).model().ReturnInBackground(static_cast<size_t>(to)); });
}

void Cancel(JNIEnv*, jclass, jlong handle) { Of(handle).model().CancelLoading(); }

// The number of programs, or -1 with an exception pending.
jint BeginCaches(JNIEnv* env, jclass, jlong handle) {
  jint programs = -1;
  Run(env, [&]() -> Status {
    const Result<size_t> found = Of(handle).BeginCaches();
    if (!found.ok()) return found.status();
    programs = static_cast<jint>(*found);
    return {};
  });
  return programs;
}

// An Outcome, or -1 with an exception pending.
jint BuildCache(JNIEnv* env, jclass, jlong handle, jint program) {
  jint outcome = -1;
  Run(env, [&]() -> Status {
    const auto built = Of(handle).BuildCache(static_cast<size_t>(program));
    if (!built.ok()) return built.status();
    outcome = static_cast<jint>(*built);
    return {};
  });
  return outcome;
}

void EndCaches(JNIEnv*, jclass, jlong handle) { Of(handle).EndCaches(); }

void Destroy(JNIEnv*, jclass, jlong handle) { delete &Of(handle); }

template <typename Function>
JNINativeMethod Method(const char* name, const char* signature, Function* function) {
  // jni.h declares them without const.
  return {const_cast<char*>(name), const_cast<char*>(signature), reinterpret_cast<void*>(function)};
}

bool RegisterMethods(JNIEnv* env) {
  const JNINativeMethod methods[] = {
      Method("create", "()J", Create),
      Method("addFolder", "(J[B)V", AddFolder),
      Method("addSlice", "(J[BIJJ)V", AddSlice),
      Method("useCaches", "(J[B[BJ)V", UseCaches),
      Method("useEngine", "(JLdev/pwl/NativeEngine;[B[B)V", UseEngine),
      Method("install", "(JI[B[BLdev/pwl/NativeSteps;[I)V", Install),
      Method("start", "(JI[BZ[BLdev/pwl/NativeCallbacks;[I)V", Start),
      Method("run", "(J[F[F)I", RunArray),
      Method("runDirect", "(JLjava/nio/ByteBuffer;II[F)I", RunDirect),
      Method("advance", "(JI)V", Advance),
      Method("retreat", "(JI)V", Retreat),
      Method("cancel", "(J)V", Cancel),
      Method("beginCaches", "(J)I", BeginCaches),
      Method("buildCache", "(JI)I", BuildCache),
      Method("endCaches", "(J)V", EndCaches),
      Method("destroy", "(J)V", Destroy),
  };
  jclass native = env->FindClass("dev/pwl/NativeModel");
  return native != nullptr &&
         env->RegisterNatives(native, methods, static_cast<jint>(std::size(methods))) == JNI_OK;
}

}  // namespace
}  // namespace pwl::jni

// Fails where the Kotlin half is of another version: System.loadLibrary says what is missing.
extern "C" JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM* vm, void*) {
  void* env = nullptr;
  if (vm->GetEnv(&env, JNI_VERSION_1_6) != JNI_OK) return JNI_ERR;
  auto* const java = static_cast<JNIEnv*>(env);
  const bool ready = pwl::jni::InitializeJava(vm, java) && pwl::jni::InitializeCallbacks(java) &&
                     pwl::jni::InitializeEngine(java) && pwl::jni::RegisterMethods(java);
  return ready ? JNI_VERSION_1_6 : JNI_ERR;
}
