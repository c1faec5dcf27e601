# Toolchain file: 64-bit Arm Linux by Debian's cross compiler (apt-get install g++-aarch64-linux-gnu).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# Programs of this machine, libraries and headers of the other one. Packages, such as ExecuTorch's,
# are looked for wherever CMAKE_PREFIX_PATH says.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# Every program finds its libraries beside itself, wherever a package is put; symbols, which phones
# have no use for, stay here; and phones may have pages of 16 KB.
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_RPATH "$ORIGIN/lib")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-s -Wl,-z,max-page-size=16384")
