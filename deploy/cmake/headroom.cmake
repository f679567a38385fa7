# One target per layer, explicit sources, and link edges that are the include rules (docs/architecture.md).

add_library(headroom_flags INTERFACE)
# -ffp-contract=off: a decision must have the same bytes on every machine, so no fused multiply-add behind our back.
target_compile_options(headroom_flags INTERFACE -ffp-contract=off -fno-omit-frame-pointer -fstack-protector-strong)
target_compile_definitions(headroom_flags INTERFACE _GLIBCXX_ASSERTIONS SPDLOG_FMT_EXTERNAL SPDLOG_COMPILED_LIB)
target_include_directories(headroom_flags INTERFACE ${CMAKE_SOURCE_DIR})
if(HEADROOM_SANITIZE)
  target_compile_options(headroom_flags INTERFACE -fsanitize=${HEADROOM_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(headroom_flags INTERFACE -fsanitize=${HEADROOM_SANITIZE})
endif()

add_library(headroom_warnings INTERFACE)
target_compile_options(headroom_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wno-missing-field-initializers
  $<$<BOOL:${HEADROOM_WERROR}>:-Werror>)

# Two precompiled headers serve everything: `pch_values` (STL and Abseil) below the network, `pch_grpc` at the wire.
function(headroom_pch NAME)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPS" ${ARGN})
  file(WRITE ${CMAKE_BINARY_DIR}/${NAME}.cc "// Owns the precompiled header ${NAME}.\n")
  add_library(${NAME} STATIC ${CMAKE_BINARY_DIR}/${NAME}.cc)
  target_link_libraries(${NAME} PUBLIC headroom_flags ${ARG_DEPS} PRIVATE headroom_warnings)
  target_precompile_headers(${NAME} PRIVATE ${ARG_HEADERS})
  target_compile_options(${NAME} PRIVATE -fpch-preprocess)
endfunction()

# headroom_library(NAME SOURCES ... DEPS ... [PCH pch_values])
function(headroom_library NAME)
  cmake_parse_arguments(ARG "" "PCH" "SOURCES;DEPS" ${ARGN})
  add_library(${NAME} STATIC ${ARG_SOURCES})
  target_link_libraries(${NAME} PUBLIC headroom_flags ${ARG_DEPS} PRIVATE headroom_warnings)
  headroom_use_pch(${NAME} "${ARG_PCH}")
endfunction()

# headroom_program(NAME SOURCES ... DEPS ... [PCH ...])
function(headroom_program NAME)
  cmake_parse_arguments(ARG "" "PCH" "SOURCES;DEPS" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE headroom_flags headroom_warnings ${ARG_DEPS})
  target_link_options(${NAME} PRIVATE -Wl,-z,relro,-z,now)
  headroom_use_pch(${NAME} "${ARG_PCH}")
  set_property(GLOBAL APPEND PROPERTY HEADROOM_PROGRAMS ${NAME})
endfunction()

# headroom_test(NAME SOURCES ... DEPS ... [LABEL unit] [TIMEOUT 300]): one binary per source folder.
function(headroom_test NAME)
  cmake_parse_arguments(ARG "" "PCH;LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE headroom_flags headroom_warnings ${ARG_DEPS} GTest::gtest_main GTest::gmock)
  headroom_use_pch(${NAME} "${ARG_PCH}")
  add_test(NAME ${NAME} COMMAND ${NAME} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${NAME} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "HEADROOM_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};HEADROOM_SOURCE=${CMAKE_SOURCE_DIR}")
endfunction()

function(headroom_use_pch TARGET PCH)
  if(PCH)
    target_precompile_headers(${TARGET} REUSE_FROM ${PCH})
    target_compile_options(${TARGET} PRIVATE -fpch-preprocess)
  endif()
endfunction()
