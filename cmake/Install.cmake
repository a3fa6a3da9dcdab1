# SPDX-License-Identifier: Apache-2.0
# cmake --install: library, header, tool, and what find_package and pkg-config read. Nothing installed names the folder it was
# installed to, so the whole may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS clbn EXPORT clbn-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES include/clbn.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET clbn_tool)
  file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(clbn_tool PROPERTIES INSTALL_RPATH "$ORIGIN/${bin_to_lib}")
  install(TARGETS clbn_tool DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/clbn)
install(EXPORT clbn-targets NAMESPACE clbn:: DESTINATION ${config_dir})
configure_package_config_file(cmake/clbn-config.cmake.in clbn-config.cmake INSTALL_DESTINATION ${config_dir}
  NO_SET_AND_CHECK_MACRO)
# 0.1.3 serves who asks for 0.1.0, 0.2.0 does not.
write_basic_package_version_file(clbn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/clbn-config.cmake ${PROJECT_BINARY_DIR}/clbn-config-version.cmake
  DESTINATION ${config_dir})

# clbn.pc reaches its prefix from the folder it lies in. A shared clbn brings OpenMP and libm itself; a static one leaves
# them to the program, in Libs, so that a plain `pkg-config --libs clbn` links it too.
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH pc_libdir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH pc_includedir ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
list(TRANSFORM OpenMP_C_LIB_NAMES PREPEND "-l" OUTPUT_VARIABLE pc_private)
list(JOIN pc_private " " pc_private)
if(BUILD_SHARED_LIBS)
  set(pc_static_libs "")
  set(pc_cflags "")
else()
  set(pc_static_libs " ${pc_private} -lm")
  set(pc_cflags " -DCLBN_STATIC")
endif()
configure_file(cmake/clbn.pc.in clbn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/clbn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
