include(${PROJECT_SOURCE_DIR}/cmake/executorch.cmake)
target_sources(pwl_engines PRIVATE
  src/engines/executorch/engine.cc
  src/engines/executorch/lookup_kernels.cc
  src/engines/executorch/mapped_data_loader.cc)
# ExecuTorch has a Program of its own: under CMAKE_UNITY_BUILD it stays apart from other engines.
set_source_files_properties(src/engines/executorch/engine.cc
  PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
pwl_link_executorch(pwl_engines)
