# SPDX-License-Identifier: Apache-2.0
# cmake -DTOOL=... -DSPOIL=... -P verify_fails.cmake: verify of a library with one wrong number ends with status 1 and says which, in one
# line; its JSON is written all the same.
execute_process(COMMAND ${CMAKE_COMMAND} -E env LD_PRELOAD=${SPOIL} ${TOOL} verify --device cpu --seconds 0.01 --json
  RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err)
if(NOT status EQUAL 1)
  message(FATAL_ERROR "status ${status} instead of 1: ${err}")
endif()
if(NOT err MATCHES "^clbn: verify: y of forward inference, float32, [^\n]*an error of [^\n]*\n$")
  message(FATAL_ERROR "standard error holds: ${err}")
endif()
if(NOT out MATCHES "^{.*\"misses\": [1-9][0-9]*, .*\"first_miss\": \"y of forward inference.*}\n$")
  message(FATAL_ERROR "the JSON does not say it: ${out}")
endif()
