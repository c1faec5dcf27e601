# Toolchain file: the NDK's own, with what PWL asks of it. ANDROID_NDK names the NDK; ANDROID_ABI is
# arm64-v8a or x86_64 (CMakePresets.json).
if(NOT DEFINED ENV{ANDROID_NDK})
  message(FATAL_ERROR "ANDROID_NDK is not set: Android's C library needs Google's NDK, r26 or later "
    "(https://developer.android.com/ndk/downloads). Unpack it, and export ANDROID_NDK=FOLDER. "
    "Without an NDK: scripts/build-harness linux-arm64.")
endif()
set(pwl_ndk_toolchain $ENV{ANDROID_NDK}/build/cmake/android.toolchain.cmake)
if(NOT EXISTS ${pwl_ndk_toolchain})
  message(FATAL_ERROR "ANDROID_NDK=$ENV{ANDROID_NDK} is no NDK: ${pwl_ndk_toolchain} is not there.")
endif()

# The level that ExecuTorch is built for; and no libc++_shared.so that would have to travel.
if(NOT ANDROID_PLATFORM)
  set(ANDROID_PLATFORM android-26)
endif()
if(NOT ANDROID_STL)
  set(ANDROID_STL c++_static)
endif()
# Phones with pages of 16 KB (Android 15 and later). r27 asks for this; r28 links so by itself.
set(ANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES ON)
# ExecuTorch's install tree lies outside of the NDK's sysroot.
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)

include(${pwl_ndk_toolchain})
