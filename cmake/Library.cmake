# SPDX-License-Identifier: Apache-2.0
# The library: its sources, what each of them is compiled with, and what it links.
if(NOT TARGET OpenCL::OpenCL)
  find_package(OpenCL REQUIRED)
  # A project that adds clbn with add_subdirectory links it from folders of its own, where the target must be known too.
  set_target_properties(OpenCL::OpenCL PROPERTIES IMPORTED_GLOBAL TRUE)
endif()
find_package(OpenMP REQUIRED COMPONENTS C)

set(kernels flags.cl common.cl storage.cl moments.cl activation.cl finalize.cl apply.cl fused.cl sums.cl sums_columns.cl grad.cl fused_grad.cl parts.cl)
list(TRANSFORM kernels PREPEND ${PROJECT_SOURCE_DIR}/kernels/)
add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/kernels.c
  COMMAND ${CMAKE_COMMAND} -DOUT=${PROJECT_BINARY_DIR}/kernels.c "-DSOURCES=${kernels}"
          -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${kernels} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake VERBATIM)

add_library(clbn
  src/status.c src/shape.c src/slot.c src/device.c src/plan.c src/check.c src/run.c src/backward.c src/statistics.c
  src/trial_problem.c src/trial.c
  src/cpu/cpu.c src/cpu/schedule.c src/cpu/chunk.c src/cpu/block.c src/cpu/channel.c src/cpu/parts.c
  src/cpu/tensor.c src/cpu/cut.c src/cpu/loops_portable.c src/cpu/loops_avx2.c src/cpu/loops_avx512.c
  src/opencl/list.c src/opencl/device.c src/opencl/policy.c src/opencl/cut.c src/opencl/preference.c src/opencl/program.c
  src/opencl/cache.c src/opencl/launch.c src/opencl/chains.c src/opencl/transfer.c src/opencl/check.c src/opencl/run.c
  ${PROJECT_BINARY_DIR}/kernels.c)
add_library(clbn::clbn ALIAS clbn)

# Results must not depend on the compiler's taste: no contraction to fused multiply-adds. The loops of the CPU path are
# compiled once more for wider vectors, and chosen when the library runs.
target_compile_options(clbn PRIVATE -ffp-contract=off -fno-math-errno)
# The loops' flags: theirs alone, as sanitizers make minutes of what -O3 inlines.
if(NOT DEFINED CLBN_LOOPS_FLAGS)
  set(CLBN_LOOPS_FLAGS -O3)
endif()
separate_arguments(CLBN_LOOPS_FLAGS)
set_property(SOURCE src/cpu/channel.c APPEND PROPERTY COMPILE_OPTIONS -O3)
set_property(SOURCE src/cpu/loops_portable.c APPEND PROPERTY COMPILE_OPTIONS ${CLBN_LOOPS_FLAGS} -Wno-psabi)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64|i[3-6]86)$")
  set_property(SOURCE src/cpu/loops_avx2.c APPEND PROPERTY COMPILE_OPTIONS ${CLBN_LOOPS_FLAGS} -Wno-psabi -mavx2 -mfma -mf16c)
  # GCC moves vectors of 64 bytes by 16; what then reads 32 of them waits.
  include(CheckCCompilerFlag)
  check_c_compiler_flag("-mmove-max=256 -mstore-max=256" CLBN_HAS_MOVE_MAX)
  mark_as_advanced(CLBN_HAS_MOVE_MAX)
  if(CLBN_HAS_MOVE_MAX)
    set_property(SOURCE src/cpu/loops_avx2.c APPEND PROPERTY COMPILE_OPTIONS -mmove-max=256 -mstore-max=256)
  endif()
  set_property(SOURCE src/cpu/loops_avx512.c APPEND PROPERTY COMPILE_OPTIONS
    ${CLBN_LOOPS_FLAGS} -Wno-psabi -mavx512f -mavx512vl -mavx512bw -mavx512dq -mf16c -mprefer-vector-width=512)
endif()

target_include_directories(clbn
  PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  PRIVATE src kernels)
# An installed static library names OpenMP's runtime by name (gomp, omp), so that a project in C++ alone, or with another
# compiler, links it without asking what OpenMP is.
target_link_libraries(clbn PUBLIC OpenCL::OpenCL PRIVATE $<BUILD_INTERFACE:OpenMP::OpenMP_C> m)
foreach(library ${OpenMP_C_LIB_NAMES})
  target_link_libraries(clbn PRIVATE $<INSTALL_INTERFACE:${library}>)
endforeach()
target_compile_definitions(clbn PRIVATE CLBN_BUILDING)
if(NOT BUILD_SHARED_LIBS)
  target_compile_definitions(clbn PUBLIC CLBN_STATIC)
endif()
# Until 1.0 a minor version may break the ABI, so the SONAME carries it: libclbn.so.0.1.
set_target_properties(clbn PROPERTIES C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
