# SPDX-License-Identifier: Apache-2.0
# clbn_test(NAME name COMMAND command... [ENVIRONMENT var=value...] [TIMEOUT seconds] [LABELS label...])
# A ctest test with what every test here needs: PoCL's cache in the build folder (without a writable cache PoCL reports no
# device) and the tool's there too, no fork by Check (it hangs OpenCL drivers), a time-out as the watchdog.
set(CLBN_POCL_CACHE ${PROJECT_BINARY_DIR}/pocl-cache CACHE PATH "Where the tests let PoCL keep compiled kernels")
set(CLBN_TEST_PATIENCE 1 CACHE STRING "What time-outs of tests are multiplied with, for a slow or busy machine")
function(clbn_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT" "COMMAND;ENVIRONMENT;LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  math(EXPR T_TIMEOUT "${T_TIMEOUT} * ${CLBN_TEST_PATIENCE}")
  add_test(NAME ${T_NAME} COMMAND ${T_COMMAND})
  set_tests_properties(${T_NAME} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}" ENVIRONMENT
    "POCL_CACHE_DIR=${CLBN_POCL_CACHE};XDG_CACHE_HOME=${PROJECT_BINARY_DIR}/cache;CK_FORK=no;${T_ENVIRONMENT}")
endfunction()
