# SPDX-License-Identifier: Apache-2.0
# cmake -DOCLGRIND=... -DSUITE=... -DLOG=... -DGROUP=... -P oclgrind.cmake
# Runs a suite under Oclgrind, on a device of work-groups up to GROUP; fails where the suite fails, or where Oclgrind has anything
# to report.
file(REMOVE ${LOG})
execute_process(COMMAND ${OCLGRIND} --data-races --uninitialized --check-api --max-wgsize ${GROUP} --log ${LOG} ${SUITE} RESULT_VARIABLE result)
set(reports "")
if(EXISTS ${LOG})
  file(READ ${LOG} reports LIMIT 4000)
endif()
string(STRIP "${reports}" reports)
if(reports)
  message(FATAL_ERROR "Oclgrind reports:\n${reports}")
endif()
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the suite ended with ${result}")
endif()
