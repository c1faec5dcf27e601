pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
    plugins {
        id("com.android.application") version "8.13.0"
        id("com.android.library") version "8.13.0"
        id("com.android.asset-pack") version "8.13.0"
        id("org.jetbrains.kotlin.android") version "2.2.20"
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "sample"
include(":app", ":pwl")
project(":pwl").projectDir = file("../pwl")
listOf("pwl_student", "pwl_teacher").forEach {
    include(":$it")
    project(":$it").projectDir = file("pwl-assets/$it")
}
