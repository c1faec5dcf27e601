plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "dev.pwl.sample"
    compileSdk = 36
    defaultConfig {
        applicationId = "dev.pwl.sample"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "1"
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            signingConfig = signingConfigs.getByName("debug")
        }
    }
    // What `python -m pipeline.build PROFILE --android pwl-assets` has written.
    assetPacks += listOf(":pwl_student", ":pwl_teacher")
    androidResources { noCompress += listOf("pte", "tflite", "plan") }
}

dependencies {
    implementation(project(":pwl"))
    // For bundles of LiteRT: libLiteRt.so.
    implementation("com.google.ai.edge.litert:litert:2.3.0")
}
