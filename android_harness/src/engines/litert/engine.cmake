target_sources(pwl_engines PRIVATE
  src/engines/litert/declarations.cc
  src/engines/litert/engine.cc
  src/engines/litert/library.cc)
target_link_libraries(pwl_engines PRIVATE ${CMAKE_DL_LIBS})
