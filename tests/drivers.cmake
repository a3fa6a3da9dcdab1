# SPDX-License-Identifier: Apache-2.0
# Registers the device suites for the OpenCL drivers found here, and for one of the user's.
set(CLBN_TEST_DEVICE "" CACHE STRING "A device to run the suites on besides: P:D, a driver's .icd file, intel (as scripts/drivers has it)")

# The variables that choose a driver, as scripts/drivers says; empty, with its reason told, where it is not here. The file that
# names its library is kept in the cache besides, as <result>_ICD.
function(driver_environment driver result)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/drivers --environment ${driver} RESULT_VARIABLE failed
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE variables ERROR_VARIABLE why
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE)
  if(failed)
    message(STATUS "clbn tests: without ${driver}: ${why}")
    set(variables "")
  endif()
  string(REPLACE "\n" ";" variables "${variables}")
  string(REGEX MATCH "^OCL_ICD_VENDORS=([^;]*)" named "${variables}")
  set(${result} "${variables}" PARENT_SCOPE)
  set(${result}_ICD "${CMAKE_MATCH_1}" CACHE INTERNAL "")
endfunction()
driver_environment(pocl CLBN_POCL)
driver_environment(rusticl CLBN_RUSTICL)
find_program(CLBN_OCLGRIND oclgrind DOC "Oclgrind, for the tests")

set(suites device golden pipeline arguments adversary)
# What only drivers take that run them whole; the latter look at what the host does with kernels.
set(whole devices refused)
set(of_the_host trials cache preferences)
# Plans of so many kinds that their trials would take half the time; the other suites, the tool and the examples have them.
set(of_many_kinds semantics)
# Some 500 kernels each besides, of which each runs a few times.
set(of_many_kernels operations exact exhaustive)

if(CLBN_POCL)
  foreach(suite ${suites} ${whole})
    clbn_test(NAME pocl.${suite} COMMAND test_${suite} ENVIRONMENT ${CLBN_POCL} LABELS pocl TIMEOUT 1500)
  endforeach()
  foreach(suite ${of_many_kinds})
    clbn_test(NAME pocl.${suite} COMMAND test_${suite} ENVIRONMENT ${CLBN_POCL} CLBN_TEST_SKIP_TRIALS=1 LABELS pocl TIMEOUT 1500)
  endforeach()
  # Optimizing these would take four times as long. The other suites do.
  foreach(suite ${of_the_host})
    clbn_test(NAME pocl.${suite} COMMAND test_${suite} LABELS pocl TIMEOUT 1500
      ENVIRONMENT ${CLBN_POCL} POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable)
  endforeach()
  foreach(suite ${of_many_kernels})
    clbn_test(NAME pocl.${suite} COMMAND test_${suite} LABELS pocl TIMEOUT 1500
      ENVIRONMENT ${CLBN_POCL} POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable CLBN_TEST_SKIP_TRIALS=1 CLBN_TEST_SHARE=3/41)
  endforeach()
  # In short; a device of the user's own, below, and Intel's in scripts/matrix, take each extent by every variant.
  clbn_test(NAME pocl.extents COMMAND test_extents LABELS pocl TIMEOUT 1500 ENVIRONMENT ${CLBN_POCL} CLBN_TEST_SHORT=1)
  # A device of odd groups, in short: the trees over a group meet rows left over. scripts/matrix has it at length.
  foreach(suite device operations)
    clbn_test(NAME pocl.${suite}.groups-to-7 COMMAND test_${suite} LABELS pocl-groups TIMEOUT 600
      ENVIRONMENT ${CLBN_POCL} POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable POCL_MAX_WORK_GROUP_SIZE=7 CLBN_TEST_ELEMENTS=2500 CLBN_TEST_SHORT=1)
  endforeach()
  # What warps of a GPU would move, without one: a few shapes; scripts/audit takes all.
  clbn_test(NAME audit LABELS audit COMMAND test_audit TIMEOUT 600
    ENVIRONMENT ${CLBN_POCL} POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable CLBN_TEST_SHORT=1)
endif()

if(CLBN_RUSTICL)
  foreach(suite ${suites} extents ${of_the_host})
    # It streams 2 GB/s: cases take turns with the variants.
    clbn_test(NAME rusticl.${suite} COMMAND test_${suite} LABELS rusticl TIMEOUT 1500
      ENVIRONMENT ${CLBN_RUSTICL} CLBN_TEST_ELEMENTS=100000 CLBN_TEST_SHORT=1)
  endforeach()
  # Large extents whole: llvmpipe ends a work-item, silently, whose loops turn too often.
  clbn_test(NAME rusticl.extents.past COMMAND test_extents LABELS rusticl TIMEOUT 1500 ENVIRONMENT ${CLBN_RUSTICL} CK_RUN_CASE=past)
  foreach(suite ${of_many_kinds})
    clbn_test(NAME rusticl.${suite} COMMAND test_${suite} LABELS rusticl TIMEOUT 1500
      ENVIRONMENT ${CLBN_RUSTICL} CLBN_TEST_SKIP_TRIALS=1 CLBN_TEST_ELEMENTS=100000 CLBN_TEST_SHORT=1)
  endforeach()
  foreach(suite ${of_many_kernels})
    clbn_test(NAME rusticl.${suite} COMMAND test_${suite} LABELS rusticl TIMEOUT 1500
      ENVIRONMENT ${CLBN_RUSTICL} CLBN_TEST_SKIP_TRIALS=1 CLBN_TEST_ELEMENTS=2500 CLBN_TEST_SHORT=1 CLBN_TEST_SHARE=3/211)
  endforeach()
endif()

if(CLBN_OCLGRIND)
  # The pipeline suite is left to the others: Oclgrind spins for ever while a call waits behind an open user event.
  # Extents are too large for it, but for one that scripts/mutants runs, and so is a search for the worst data. Plans' trials would take
  # half the time: only the examples have them.
  foreach(suite device operations semantics golden arguments exact exhaustive extents)
    # Semantics and pipelines run on small groups: an idle work-item costs the simulator as much as a busy one.
    set(group 16)
    if(suite MATCHES "device|operations")
      set(group 1024)
    endif()
    get_target_property(sources test_${suite} SOURCES)
    add_executable(test_${suite}_kept ${sources} keep_memory.c)
    target_link_libraries(test_${suite}_kept PRIVATE clbn_tests)
    set_target_properties(test_${suite}_kept PROPERTIES ENABLE_EXPORTS ON)
    if(suite STREQUAL "extents")
      continue()
    endif()
    clbn_test(NAME oclgrind.${suite} LABELS oclgrind TIMEOUT 1500
      COMMAND ${CMAKE_COMMAND} -DOCLGRIND=${CLBN_OCLGRIND} -DSUITE=$<TARGET_FILE:test_${suite}_kept>
              -DLOG=${CMAKE_CURRENT_BINARY_DIR}/oclgrind-${suite}.log -DGROUP=${group}
              -P ${CMAKE_CURRENT_SOURCE_DIR}/oclgrind.cmake
      ENVIRONMENT CLBN_TEST_ELEMENTS=700 CLBN_TEST_SHORT=1 CLBN_TEST_SHARE=3/211 CLBN_TEST_SKIP_TRIALS=1)
  endforeach()
else()
  message(STATUS "clbn tests: without Oclgrind")
endif()

# The user's own: all of it, as CLBN_TEST_ELEMENTS and CLBN_TEST_SHORT of the caller's environment allow.
if(CLBN_TEST_DEVICE)
  driver_environment("${CLBN_TEST_DEVICE}" CLBN_OWN)
  if(NOT CLBN_OWN)
    message(FATAL_ERROR "CLBN_TEST_DEVICE names no driver that is here")
  endif()
  foreach(suite ${suites} extents ${whole} ${of_the_host} ${of_many_kinds} ${of_many_kernels})
    clbn_test(NAME own.${suite} COMMAND test_${suite} ENVIRONMENT ${CLBN_OWN} CLBN_TEST_SHARE=3/41 LABELS own TIMEOUT 3000)
  endforeach()
endif()

# What a machine without a usable driver sees: no vendor at all, and one whose library is missing.
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/no-vendors ${CMAKE_CURRENT_BINARY_DIR}/broken-vendors)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/broken-vendors/missing.icd "libclbn-test-no-such-driver.so.1\n")
foreach(vendor no broken)
  clbn_test(NAME devices.${vendor}-driver COMMAND test_devices LABELS cpu
    ENVIRONMENT OCL_ICD_VENDORS=${CMAKE_CURRENT_BINARY_DIR}/${vendor}-vendors CLBN_TEST_NO_OPENCL=1)
endforeach()
