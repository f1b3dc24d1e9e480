# What `cmake --install` puts where: libraries, headers, the command, and how others find them.
include(CMakePackageConfigHelpers)

install(TARGETS nnfuse nnfuse_static EXPORT nnfuse)
if(TARGET nnfuse_command)
  install(TARGETS nnfuse_command)
endif()
install(FILES include/nnfuse.h TYPE INCLUDE)
install(DIRECTORY include/nnfuse TYPE INCLUDE)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nnfuse)
install(EXPORT nnfuse NAMESPACE nnfuse:: FILE nnfuseTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(cmake/nnfuseConfig.cmake.in nnfuseConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(nnfuseConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nnfuseConfig.cmake
              ${PROJECT_BINARY_DIR}/nnfuseConfigVersion.cmake
        DESTINATION ${package_dir})

set(private_libs "-lm ${CMAKE_THREAD_LIBS_INIT}")
if(OpenMP_C_FOUND)
  string(APPEND private_libs " ${OpenMP_C_FLAGS}")
endif()
if(NNFUSE_ONEDNN)
  string(APPEND private_libs " -ldnnl")
endif()
file(RELATIVE_PATH prefix_from_pc
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/nnfuse.pc.in nnfuse.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/nnfuse.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
