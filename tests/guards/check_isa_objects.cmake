# No object compiled with the flags of one instruction set may export weak
# symbols: the linker could pick its copy of a shared inline function for
# everyone, and an older CPU would meet an illegal instruction.
#   cmake -DNM=nm -DOBJECTS=<list of .o files> -P check_isa_objects.cmake
cmake_minimum_required(VERSION 3.25)

set(checked 0)
foreach(object ${OBJECTS})
  if(object MATCHES "_(amx|avx[a-z0-9]*|neon)\\.cc\\.o$")
    math(EXPR checked "${checked} + 1")
    execute_process(COMMAND ${NM} -C --defined-only ${object}
      OUTPUT_VARIABLE symbols RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
      message(FATAL_ERROR "${NM} failed on ${object}")
    endif()
    string(REGEX MATCHALL "[0-9a-f]+ [WVu] [^\n]*" weak "${symbols}")
    if(weak)
      string(REPLACE ";" "\n  " weak "${weak}")
      message(SEND_ERROR "${object} exports weak symbols:\n  ${weak}")
    endif()
  endif()
endforeach()
if(checked EQUAL 0)
  message(FATAL_ERROR "check_isa_objects: no ISA object among '${OBJECTS}'")
endif()
message(STATUS "${checked} ISA objects export no weak symbols")
