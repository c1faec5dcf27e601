# pwl_link_executorch(TARGET): ExecuTorch's runtime, XNNPACK backend and thread pool, from whichever of
# its two CMake packages CMAKE_PREFIX_PATH names:
#
#   * that of the Python wheel: shared libraries, targets executorch::runtime and so on;
#   * that of an install tree (cmake --install of its sources, as for Android): static libraries with
#     bare targets, of which the backend has to be linked whole, because nothing refers to it by name.

set(PWL_EXECUTORCH_VERSION "" CACHE STRING "Version of an ExecuTorch whose package does not say it")
find_package(executorch CONFIG REQUIRED COMPONENTS runtime backend_xnnpack threadpool)
if(executorch_VERSION)
  set(PWL_EXECUTORCH_VERSION ${executorch_VERSION})
elseif(NOT PWL_EXECUTORCH_VERSION)
  message(FATAL_ERROR "${executorch_DIR} does not say which version of ExecuTorch it is. Pass "
    "-DPWL_EXECUTORCH_VERSION=, such as 1.5.1.")
endif()

if(TARGET executorch::runtime)
  set(pwl_executorch_runtime executorch::runtime)
  set(pwl_executorch_libraries
    executorch::runtime executorch::backend_xnnpack executorch::threadpool)
  if(CMAKE_CROSSCOMPILING)
    # They have whatever links them look for libraries in the wheel's folder on this machine, too.
    foreach(target ${pwl_executorch_libraries})
      get_target_property(options ${target} INTERFACE_LINK_OPTIONS)
      list(FILTER options EXCLUDE REGEX "^LINKER:-rpath,/")
      set_target_properties(${target} PROPERTIES INTERFACE_LINK_OPTIONS "${options}")
    endforeach()
  endif()
else()
  foreach(target executorch extension_module_static extension_tensor xnnpack_backend)
    if(NOT TARGET ${target})
      message(FATAL_ERROR "${executorch_DIR} has no ${target}. Build ExecuTorch with "
        "EXECUTORCH_BUILD_EXTENSION_MODULE, _EXTENSION_DATA_LOADER, _EXTENSION_FLAT_TENSOR, "
        "_EXTENSION_NAMED_DATA_MAP, _EXTENSION_TENSOR and EXECUTORCH_BUILD_XNNPACK on, and "
        "install it.")
    endif()
  endforeach()
  set(pwl_executorch_runtime executorch)
  set(pwl_executorch_libraries
    -Wl,--whole-archive $<TARGET_FILE:xnnpack_backend> -Wl,--no-whole-archive -Wl,--start-group)
  # What older and newer releases have of it; each is a static library.
  foreach(target
      extension_module_static extension_tensor extension_flat_tensor extension_named_data_map
      extension_data_loader executorch executorch_core xnnpack_backend XNNPACK
      xnnpack-microkernels-prod kleidiai extension_threadpool pthreadpool cpuinfo)
    if(TARGET ${target})
      list(APPEND pwl_executorch_libraries ${target})
    endif()
  endforeach()
  list(APPEND pwl_executorch_libraries -Wl,--end-group)
  if(ANDROID)
    list(APPEND pwl_executorch_libraries log)
  endif()
endif()

function(pwl_link_executorch name)
  target_compile_definitions(${name} PRIVATE PWL_EXECUTORCH_VERSION="${PWL_EXECUTORCH_VERSION}")
  # Headers of others are not held to our warnings.
  target_include_directories(${name} SYSTEM PRIVATE
    $<TARGET_PROPERTY:${pwl_executorch_runtime},INTERFACE_INCLUDE_DIRECTORIES>)
  target_link_libraries(${name} PRIVATE ${pwl_executorch_libraries})
endfunction()
