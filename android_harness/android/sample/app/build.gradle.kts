import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

kotlin {
    compilerOptions { jvmTarget.set(JvmTarget.JVM_11) }
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
    // The same for Kotlin and Java, or Gradle refuses to build.
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            signingConfig = signingConfigs.getByName("debug")
        }
    }
    // What `python -m pipeline.build PROFILE --android pwl-assets` has written, in the folder above.
    assetPacks += listOf(":pwl_student", ":pwl_teacher")
    androidResources { noCompress += listOf("pte", "tflite", "plan") }
}

dependencies {
    implementation(project(":pwl"))
    // For packs that arrive after the app.
    implementation("com.google.android.play:asset-delivery:2.3.0")
    // For bundles of LiteRT: libLiteRt.so.
    implementation("com.google.ai.edge.litert:litert:2.3.0")
}
