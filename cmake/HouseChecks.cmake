# SPDX-License-Identifier: Apache-2.0
# What the house asks of every change beside its tests, as tests: layout, lint, layers, clang's view of the sources, and the
# suites under the address and undefined-behaviour sanitizers. `scripts/test` turns it on; what it needs must be there.
clbn_test(NAME house.sources_are_formatted LABELS house COMMAND ${PROJECT_SOURCE_DIR}/scripts/format --check)
clbn_test(NAME house.kernels_pass_the_lint LABELS house COMMAND ${PROJECT_SOURCE_DIR}/scripts/lint_kernels)
clbn_test(NAME house.layers_hold LABELS house COMMAND ${PROJECT_SOURCE_DIR}/scripts/check_layers ${PROJECT_BINARY_DIR})

# Another build of everything, and its suites of some labels, each LABEL:ELEMENTS. Cases of more elements are left to the main
# build: they take most of the time, and the same code; so are the suites that meet the driver with many kernels and the host with little.
function(house_build name)
  cmake_parse_arguments(H "" "" "OPTIONS;SUITES;ENVIRONMENT" ${ARGN})
  set(folder ${PROJECT_BINARY_DIR}/${name})
  clbn_test(NAME ${name}.build_passes_without_a_warning LABELS house TIMEOUT 1800 ENVIRONMENT MAKEFLAGS=-j2
    COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${PROJECT_SOURCE_DIR} ${folder} --build-generator ${CMAKE_GENERATOR}
    --build-makeprogram ${CMAKE_MAKE_PROGRAM} --build-noclean --build-options -DCLBN_WERROR=ON -DCLBN_POCL_CACHE=${CLBN_POCL_CACHE}
    -DCLBN_TEST_PATIENCE=${CLBN_TEST_PATIENCE} ${H_OPTIONS})
  set_tests_properties(${name}.build_passes_without_a_warning PROPERTIES FIXTURES_SETUP ${name})
  foreach(suites ${H_SUITES})
    string(REGEX MATCH "^([^:]*):([^:]*):?(.*)$" suites ${suites})
    set(label ${CMAKE_MATCH_1})
    set(elements ${CMAKE_MATCH_2})
    set(short "")
    if(CMAKE_MATCH_3)
      set(short CLBN_TEST_SHORT=1)
    endif()
    clbn_test(NAME ${name}.${label}_suites_pass LABELS house TIMEOUT 3000 ENVIRONMENT CLBN_TEST_ELEMENTS=${elements} ${short} ${H_ENVIRONMENT}
      COMMAND ${CMAKE_CTEST_COMMAND} --test-dir ${folder} --output-on-failure --no-tests=error -L "^${label}$"
              -E "^(pocl|cpu)\\.(exact|exhaustive)$|^pocl\\.(extents|tool|trials)$") # the tool: on the CPU path
    set_tests_properties(${name}.${label}_suites_pass PROPERTIES FIXTURES_REQUIRED ${name})
  endforeach()
endfunction()

# The loops' undefined behaviour stops a suite (a trap: SIGILL). It is clang that looks for it in them: gcc takes a minute to compile each
# of them so, and clang nine seconds.
house_build(clang SUITES cpu:100000
  OPTIONS -DCMAKE_C_COMPILER=clang "-DCLBN_LOOPS_FLAGS=-O3 -fsanitize=undefined -fsanitize-trap=undefined")

# gcc's sanitizers for all the rest, as clang's stop where a C program loads a driver written in C++. In the loops, stray accesses, by
# calls, which compile faster. Leaks are looked for on PoCL too: what the
# driver's libraries allocate and leave behind is suppressed by their names, what this project allocates counts. Kernels have no
# sanitizers in them: they are not optimized here, as in the suites that do so anyway; of trials the tool's verify has enough.
set(leaks suppressions=${PROJECT_SOURCE_DIR}/cmake/drivers-leak.supp:print_suppressions=0)
house_build(sanitized SUITES cpu:100000 pocl:2500:short
  OPTIONS -DCMAKE_C_COMPILER=gcc "-DCMAKE_C_FLAGS=-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
    "-DCLBN_LOOPS_FLAGS=-O1 -fno-sanitize=undefined --param=asan-instrumentation-with-call-threshold=0"
    -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2 -g1 -DNDEBUG" -DCLBN_BUILD_EXAMPLES=OFF
  ENVIRONMENT "LSAN_OPTIONS=${leaks}" "UBSAN_OPTIONS=print_stacktrace=1" POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable CLBN_TEST_SKIP_TRIALS=1)
