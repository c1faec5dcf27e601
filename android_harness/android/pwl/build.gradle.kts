plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

kotlin {
    explicitApi()
}

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
                // -PpwlExecutorch=DIR: an ExecuTorch that was built with the NDK and installed there.
                val executorch = providers.gradleProperty("pwlExecutorch")
                arguments +=
                    if (executorch.isPresent) {
                        listOf("-DCMAKE_FIND_ROOT_PATH=${executorch.get()}")
                    } else {
                        listOf("-DPWL_EXECUTORCH=OFF")
                    }
                arguments += "-DANDROID_STL=c++_shared"
            }
        }
    }
    externalNativeBuild { cmake { path = file("../../jni/CMakeLists.txt") } }
}

dependencies {
    api("org.jetbrains.kotlinx:kotlinx-coroutines-core:1.10.2")
    // For apps that use ModuleEngine, which bring it themselves.
    compileOnly("org.pytorch:executorch-android:1.5.1")
}
