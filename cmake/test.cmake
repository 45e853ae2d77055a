# SPDX-License-Identifier: Apache-2.0
# cni_add_test(NAME LABEL label [SECOND_KERNEL] [USER_MODE] [TIMEOUT s] [LIBRARIES lib...]
#   [DEPENDS target...] SOURCES file...)
#   A Catch2 program; every case becomes one ctest, run in its own process. Exit status 77 means
#   skipped: what is skipped for want of a kernel feature, tools/test runs under another kernel.
#   USER_MODE: that is user-mode Linux, quick, but without nf_tables of ip and inet; else Debian's
#   stock kernel, emulated. SECOND_KERNEL: its cases with the tag [each-kernel] run under the stock
#   kernel in every tools/test, and all of them with --all-kernels.
find_package(Catch2 REQUIRED)
include(Catch)

add_library(cni_test_main OBJECT ${PROJECT_SOURCE_DIR}/tests/main.cpp)
target_link_libraries(cni_test_main PUBLIC cni_flags Catch2::Catch2)
target_include_directories(cni_test_main PUBLIC ${PROJECT_SOURCE_DIR}/tests)
if(Catch2_VERSION VERSION_GREATER_EQUAL 3)
  target_compile_definitions(cni_test_main PUBLIC CNI_CATCH2_V3)
endif()

function(cni_add_test name)
  cmake_parse_arguments(arg "SECOND_KERNEL;USER_MODE" "LABEL;TIMEOUT" "SOURCES;LIBRARIES;DEPENDS"
    ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(NOT arg_LABEL STREQUAL "unit")
    math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 5")  # emulated, under the second kernel
  endif()
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test-bin)
  target_link_libraries(${name} PRIVATE cni_test_main ${arg_LIBRARIES})
  # Catch2's assertion macros trip these.
  target_compile_options(${name} PRIVATE -Wno-null-dereference -Wno-useless-cast)
  if(arg_DEPENDS)
    add_dependencies(${name} ${arg_DEPENDS})
  endif()
  set(properties SKIP_RETURN_CODE 77 TIMEOUT ${arg_TIMEOUT} LABELS)
  set(discovery TEST_PREFIX "${name}: " DISCOVERY_MODE PRE_TEST)
  # One label, since catch_discover_tests takes no list; ctest -L finds each word in it.
  set(label "${arg_LABEL}")
  if(arg_USER_MODE)
    string(APPEND label ", user-mode")
  endif()
  if(NOT arg_SECOND_KERNEL)
    catch_discover_tests(${name} ${discovery} PROPERTIES ${properties} "${label}")
    return()
  endif()
  catch_discover_tests(${name} TEST_SPEC "~[each-kernel]" ${discovery}
    PROPERTIES ${properties} "${label}, second-kernel")
  catch_discover_tests(${name} TEST_SPEC "[each-kernel]" ${discovery}
    PROPERTIES ${properties} "${label}, second-kernel, each-kernel")
endfunction()
