import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

kotlin {
    explicitApi()
    compilerOptions { jvmTarget.set(JvmTarget.JVM_11) }
}

// -PpwlExecutorch=DIR: ExecuTorch's install trees, built with the NDK, each in a folder of its ABI's
// name; scripts/build-executorch-android makes DIR/ABI. Without them, the library is for LiteRT alone.
val executorch = providers.gradleProperty("pwlExecutorch")

// -PpwlExecutorchVersion=1.5.1: for trees that were built otherwise and do not say it.
val executorchVersion = providers.gradleProperty("pwlExecutorchVersion")

android {
    namespace = "dev.pwl"
    compileSdk = 36
    defaultConfig {
        minSdk = 26
        consumerProguardFiles("consumer-rules.pro")
        // ExecuTorch and this library know 64 bits alone.
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
        externalNativeBuild {
            cmake {
                arguments += "-DANDROID_STL=c++_shared"
                // Pages of 16 KB: r27 asks for this, r28 has them by itself.
                arguments += "-DANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES=ON"
                if (executorch.isPresent) {
                    arguments += "-DPWL_EXECUTORCH_TREES=${executorch.get()}"
                } else {
                    arguments += "-DPWL_EXECUTORCH=OFF"
                }
                if (executorchVersion.isPresent) {
                    arguments += "-DPWL_EXECUTORCH_VERSION=${executorchVersion.get()}"
                }
            }
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
    externalNativeBuild {
        cmake {
            path = file("../../jni/CMakeLists.txt")
            // What ExecuTorch's package asks for; Gradle's own choice is 3.22.1.
            if (executorch.isPresent) version = "3.24.0+"
        }
    }
}

dependencies {
    api("org.jetbrains.kotlinx:kotlinx-coroutines-core:1.10.2")
    // For apps that use ModuleEngine, which bring it themselves.
    compileOnly("org.pytorch:executorch-android:1.5.1")
}
