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
  src/runtime/bundle.cc
  src/runtime/engine.cc
  src/runtime/file_stamp.cc
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
  src/runtime/weight_cache.cc
  src/runtime/weight_cache_builder.cc)
target_include_directories(pwl PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
  $<INSTALL_INTERFACE:include>)
target_link_libraries(pwl PUBLIC Threads::Threads)

# Every engine adds its sources here, its line to the table in make_engine.cc, and nothing else.
pwl_library(pwl_engines
  src/engines/make_engine.cc
  src/engines/mapped_file.cc)
target_link_libraries(pwl_engines PUBLIC pwl)

if(PWL_EXECUTORCH)
  include(${CMAKE_CURRENT_LIST_DIR}/executorch.cmake)
  target_sources(pwl_engines PRIVATE
    src/engines/executorch/engine.cc
    src/engines/executorch/mapped_data_loader.cc)
  pwl_link_executorch(pwl_engines)
endif()
if(PWL_LITERT)
  target_sources(pwl_engines PRIVATE
    src/engines/litert/engine.cc
    src/engines/litert/library.cc)
  target_compile_definitions(pwl_engines PRIVATE PWL_LITERT)
  target_link_libraries(pwl_engines PRIVATE ${CMAKE_DL_LIBS})
endif()
