include(${PROJECT_SOURCE_DIR}/cmake/executorch.cmake)
target_sources(pwl_engines PRIVATE
  src/engines/executorch/engine.cc
  src/engines/executorch/mapped_data_loader.cc)
pwl_link_executorch(pwl_engines)
