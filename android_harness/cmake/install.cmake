# cmake --install: headers, static libraries, and a package for find_package(pwl).

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(PWL_PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/pwl)
install(TARGETS pwl pwl_engines EXPORT pwl-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT pwl)
# An engine that was not built has no header, either: who includes it is told by the compiler, not by
# the linker.
file(GLOB engine_headers RELATIVE ${PROJECT_SOURCE_DIR}/include/pwl include/pwl/*_engine.h)
list(REMOVE_ITEM engine_headers make_engine.h)
foreach(engine IN LISTS PWL_BUILT_ENGINES)
  list(REMOVE_ITEM engine_headers ${engine}_engine.h)
endforeach()
set(not_built)
foreach(header IN LISTS engine_headers)
  list(APPEND not_built PATTERN ${header} EXCLUDE)
endforeach()
install(DIRECTORY include/pwl ${PROJECT_BINARY_DIR}/include/pwl
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT pwl FILES_MATCHING PATTERN "*.h" ${not_built})
install(EXPORT pwl-targets NAMESPACE pwl:: DESTINATION ${PWL_PACKAGE} COMPONENT pwl)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/pwl-config.cmake.in
  ${PROJECT_BINARY_DIR}/pwl-config.cmake INSTALL_DESTINATION ${PWL_PACKAGE})
foreach(engine IN LISTS PWL_BUILT_ENGINES)
  set(dependency ${PROJECT_SOURCE_DIR}/src/engines/${engine}/dependency.cmake.in)
  if(EXISTS ${dependency})
    configure_file(${dependency} ${PROJECT_BINARY_DIR}/pwl-${engine}.cmake @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/pwl-${engine}.cmake
      DESTINATION ${PWL_PACKAGE} COMPONENT pwl)
  endif()
endforeach()
# Before 1.0, a minor version may change what apps call.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pwl-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/pwl-config.cmake ${PROJECT_BINARY_DIR}/pwl-config-version.cmake
  DESTINATION ${PWL_PACKAGE} COMPONENT pwl)
