# SPDX-License-Identifier: Apache-2.0
# clbn.h alone compiles without a warning, as C99, C11, C++11 and C++17, by every compiler that is here.
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/header.c "#include \"clbn.h\"\nint main(void) { return (int)clbn_mem(0, 0).offset; }\n")
configure_file(${CMAKE_CURRENT_BINARY_DIR}/header.c ${CMAKE_CURRENT_BINARY_DIR}/header.cpp COPYONLY)
get_target_property(opencl_headers OpenCL::OpenCL INTERFACE_INCLUDE_DIRECTORIES)
set(warnings -pedantic -Wall -Wextra -Wconversion -Wstrict-prototypes -Werror)
foreach(compiler gcc clang g++ clang++)
  find_program(CLBN_TEST_${compiler} ${compiler})
  if(CLBN_TEST_${compiler})
    set(standards c99 c11)
    set(source header.c)
    if(compiler MATCHES "\\+\\+")
      set(standards c++11 c++17)
      set(source header.cpp)
      list(REMOVE_ITEM warnings -Wstrict-prototypes)
    endif()
    foreach(standard ${standards})
      clbn_test(NAME header.${compiler}-${standard} LABELS cpu
        COMMAND ${CLBN_TEST_${compiler}} -std=${standard} ${warnings} -I${PROJECT_SOURCE_DIR}/include -isystem ${opencl_headers}
                -fsyntax-only ${CMAKE_CURRENT_BINARY_DIR}/${source})
    endforeach()
  endif()
endforeach()
