# What an app links: pwl::pwl, the runtime, and pwl::engines, which makes the engines that were built.

find_package(Threads REQUIRED)

# Our own objects are built with our own warnings, which no consumer inherits.
function(pwl_library name)
  add_library(${name} STATIC ${ARGN})
  target_compile_features(${name} PUBLIC cxx_std_17)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:pwl_warnings>)
  # Apps link static libraries into the shared one that their JVM loads.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF)
  string(REPLACE "pwl_" "" short ${name})
  add_library(pwl::${short} ALIAS ${name})
  set_target_properties(${name} PROPERTIES EXPORT_NAME ${short})
endfunction()

configure_file(${CMAKE_CURRENT_LIST_DIR}/version.h.in
  ${PROJECT_BINARY_DIR}/include/pwl/version.h @ONLY)

# The runtime: no dependency beyond the C++ library, so that it can be tested on its own.
pwl_library(pwl
  src/runtime/ahead_load.cc
  src/runtime/bundle.cc
  src/runtime/cache_folder.cc
  src/runtime/engine.cc
  src/runtime/file_stamp.cc
  src/runtime/freed_memory.cc
  src/runtime/install.cc
  src/runtime/loader.cc
  src/runtime/loading.cc
  src/runtime/memory_file.cc
  src/runtime/plan_text.cc
  src/runtime/program_source.cc
  src/runtime/progressive_core.cc
  src/runtime/progressive_model.cc
  src/runtime/serving.cc
  src/runtime/sha256.cc
  src/runtime/sha256_hardware.cc
  src/runtime/stage.cc
  src/runtime/status.cc
  src/runtime/verified_files.cc
  src/runtime/warm_up.cc
  src/runtime/weight_cache.cc
  src/runtime/weight_cache_builder.cc)
target_include_directories(pwl PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
  $<INSTALL_INTERFACE:include>)
target_link_libraries(pwl PUBLIC Threads::Threads)

# Every engine adds to these what stands in its engine.cmake, and has a line in make_engine.cc.
pwl_library(pwl_engines
  src/engines/make_engine.cc
  src/engines/mapped_file.cc)
target_link_libraries(pwl_engines PUBLIC pwl)
foreach(engine IN LISTS PWL_BUILT_ENGINES)
  string(TOUPPER ${engine} PWL_OPTION)
  target_compile_definitions(pwl_engines PRIVATE PWL_${PWL_OPTION})
  include(${PROJECT_SOURCE_DIR}/src/engines/${engine}/engine.cmake)
endforeach()
