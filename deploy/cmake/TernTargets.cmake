# How Tern's targets are compiled, in one place.

# Every compile of ours: warnings, exact arithmetic, sanitizers.
add_library(tern_options INTERFACE)
target_compile_options(tern_options INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  # The only fused operations are those written as fma (engine/NUMERICS.md).
  -ffp-contract=off
  $<$<BOOL:${TERN_WERROR}>:-Werror>)
if(TERN_SANITIZE)
  # -Og: compiles a quarter quicker than -O1 and runs the tests as quickly.
  target_compile_options(tern_options INTERFACE
    -Og -g1 -fno-omit-frame-pointer -fsanitize=${TERN_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(tern_options INTERFACE -fsanitize=${TERN_SANITIZE})
  # False alarms inside the standard library, which the sanitizers' own checks
  # provoke.
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(tern_options INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(TERN_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    message(FATAL_ERROR "TERN_FUZZ needs clang: -DCMAKE_CXX_COMPILER=clang++-14")
  endif()
  target_compile_options(tern_options INTERFACE
    -O1 -g1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=all)
  target_link_options(tern_options INTERFACE -fsanitize=address,undefined)
endif()
if(TERN_COVERAGE)
  # Threads count lines too.
  target_compile_options(tern_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(tern_options INTERFACE --coverage)
endif()

# tern_library(NAME SOURCES ... [HEADERS ...] [PUBLIC libs...] [PRIVATE libs...])
#
# A static library whose headers are named from the project's root
# ("engine/engine.h") and are each compiled alone by all_verify_interface_header_sets.
function(tern_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;HEADERS;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_sources(${name} PUBLIC FILE_SET HEADERS
    BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${arg_HEADERS})
  target_link_libraries(${name} PUBLIC ${arg_PUBLIC}
    PRIVATE $<BUILD_INTERFACE:tern_options> ${arg_PRIVATE})
endfunction()

# tern_program(NAME SOURCES ... LIBS ...): an executable in bin/.
function(tern_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE tern_options ${arg_LIBS})
endfunction()

# tern_isa_source(FILE flags...): the flags of one instruction set go to the
# files named after it and to no other. -O2 in every build type: at -O0 the
# compiler would emit shared inline functions with the wrong instructions.
function(tern_isa_source file)
  set(flags ${ARGN} -O2)
  # g++ 12 warns about its own AVX-512 header.
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    list(APPEND flags -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${flags}")
endfunction()
