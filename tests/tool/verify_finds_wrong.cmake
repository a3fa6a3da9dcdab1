# SPDX-License-Identifier: Apache-2.0
# cmake -DTOOL=... -DSPOIL=... -P verify_finds_wrong.cmake: verify on a driver that drops the launches of some kernels, so that trials go
# wrong and plans take other variants, ends with status 1 and says which; where every launch is dropped it fails too.
foreach(kernel fused_planes _)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env LD_PRELOAD=${SPOIL} CLBN_CACHE=off CLBN_TEST_DROP=${kernel}
    ${TOOL} verify --device opencl --seconds 0.01 --json RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT status EQUAL 1 OR NOT err MATCHES "^clbn: [^\n]*\n$")
    message(FATAL_ERROR "${kernel}: status ${status} instead of 1, or not one line: ${err}")
  endif()
  if(kernel STREQUAL fused_planes AND NOT out MATCHES "\"wrong\": \"alone-fused-planes\"")
    message(FATAL_ERROR "${kernel}: the JSON does not name the variant: ${out}")
  endif()
endforeach()
