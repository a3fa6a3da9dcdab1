# SPDX-License-Identifier: Apache-2.0
# cmake -DOUT=file.c -DSOURCES="a.cl;b.cl" -P embed.cmake
# Writes a C file that holds every source as a byte array (a string literal may not exceed 4095 characters in C99) and a table of them.
set(text "/* Made by cmake/embed.cmake from kernels/. */\n#include \"opencl/kernels.h\"\n")
set(table "")
foreach(source ${SOURCES})
  get_filename_component(name ${source} NAME)
  string(MAKE_C_IDENTIFIER ${name} id)
  file(READ ${source} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND text "static const char ${id}[] = {${bytes}};\n")
  string(APPEND table "    {\"${name}\", ${id}, sizeof ${id}},\n")
endforeach()
string(APPEND text "const clbn_kernel_source clbn_kernel_sources[] = {\n${table}    {0, 0, 0},\n};\n")
file(WRITE ${OUT} "${text}")
