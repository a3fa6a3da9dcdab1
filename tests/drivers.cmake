# SPDX-License-Identifier: Apache-2.0
# Registers the device suites for the OpenCL drivers found here. OCL_ICD_VENDORS keeps every other driver out of the process.
set(vendors /etc/OpenCL/vendors /usr/share/OpenCL/vendors /usr/local/etc/OpenCL/vendors)
find_file(CLBN_POCL_ICD pocl.icd PATHS ${vendors} NO_DEFAULT_PATH DOC "PoCL's ICD file, for the tests")
find_file(CLBN_RUSTICL_ICD rusticl.icd PATHS ${vendors} NO_DEFAULT_PATH DOC "rusticl's ICD file, for the tests")
find_program(CLBN_OCLGRIND oclgrind DOC "Oclgrind, for the tests")

set(suites device semantics golden pipeline arguments extents)

if(CLBN_POCL_ICD)
  foreach(suite ${suites} devices refused)
    clbn_test(NAME pocl.${suite} COMMAND test_${suite} ENVIRONMENT OCL_ICD_VENDORS=${CLBN_POCL_ICD} LABELS pocl TIMEOUT 600)
  endforeach()
  # Some 500 kernels, of which each runs a few times: optimizing them would take four times as long. The other suites do.
  clbn_test(NAME pocl.operations COMMAND test_operations LABELS pocl TIMEOUT 600
    ENVIRONMENT OCL_ICD_VENDORS=${CLBN_POCL_ICD} POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable)
else()
  message(STATUS "clbn tests: without PoCL (no pocl.icd in ${vendors})")
endif()

if(CLBN_RUSTICL_ICD)
  foreach(suite ${suites})
    # It streams 2 GB/s: cases take turns with the variants.
    clbn_test(NAME rusticl.${suite} COMMAND test_${suite} LABELS rusticl TIMEOUT 600
      ENVIRONMENT OCL_ICD_VENDORS=${CLBN_RUSTICL_ICD} RUSTICL_ENABLE=llvmpipe CLBN_TEST_ELEMENTS=100000 CLBN_TEST_SHORT=1)
  endforeach()
  clbn_test(NAME rusticl.operations COMMAND test_operations LABELS rusticl TIMEOUT 600
    ENVIRONMENT OCL_ICD_VENDORS=${CLBN_RUSTICL_ICD} RUSTICL_ENABLE=llvmpipe CLBN_TEST_ELEMENTS=2500 CLBN_TEST_SHORT=1)
else()
  message(STATUS "clbn tests: without rusticl (no rusticl.icd in ${vendors})")
endif()

if(CLBN_OCLGRIND)
  # The pipeline suite is left to the others: Oclgrind spins for ever while a call waits behind an open user event.
  foreach(suite device operations semantics golden arguments)
    # Semantics and pipelines run on small groups: an idle work-item costs the simulator as much as a busy one.
    set(group 16)
    if(suite MATCHES "device|operations")
      set(group 1024)
    endif()
    get_target_property(sources test_${suite} SOURCES)
    add_executable(test_${suite}_kept ${sources} keep_memory.c)
    target_link_libraries(test_${suite}_kept PRIVATE clbn_tests)
    set_target_properties(test_${suite}_kept PROPERTIES ENABLE_EXPORTS ON)
    clbn_test(NAME oclgrind.${suite} LABELS oclgrind TIMEOUT 600
      COMMAND ${CMAKE_COMMAND} -DOCLGRIND=${CLBN_OCLGRIND} -DSUITE=$<TARGET_FILE:test_${suite}_kept>
              -DLOG=${CMAKE_CURRENT_BINARY_DIR}/oclgrind-${suite}.log -DGROUP=${group}
              -P ${CMAKE_CURRENT_SOURCE_DIR}/oclgrind.cmake
      ENVIRONMENT CLBN_TEST_ELEMENTS=700 CLBN_TEST_SHORT=1)
  endforeach()
else()
  message(STATUS "clbn tests: without Oclgrind")
endif()

# What a machine without a usable driver sees: no vendor at all, and one whose library is missing.
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/no-vendors ${CMAKE_CURRENT_BINARY_DIR}/broken-vendors)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/broken-vendors/missing.icd "libclbn-test-no-such-driver.so.1\n")
foreach(vendor no broken)
  clbn_test(NAME devices.${vendor}-driver COMMAND test_devices LABELS cpu
    ENVIRONMENT OCL_ICD_VENDORS=${CMAKE_CURRENT_BINARY_DIR}/${vendor}-vendors CLBN_TEST_NO_OPENCL=1)
endforeach()
