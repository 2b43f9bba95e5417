# weir_layer(NAME [LINKS layer...] [LIBS imported...]): one static library per folder of src/.
# Every *.cc below the folder belongs to it; *_test.cc files form the test program weir_NAME_tests.
# LINKS are the layers it may include (script/check_layers.py reads the same calls); LIBS are outside libraries.

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(weir_flags INTERFACE)
target_include_directories(weir_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
# fp-contract off: the same operations in every build and on every path (invariant "same bits").
target_compile_options(weir_flags INTERFACE -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor
                                            -fno-omit-frame-pointer -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(weir_flags INTERFACE -Wthread-safety)
else()
  # GCC 12 reports these falsely inside inlined standard and Boost containers.
  target_compile_options(weir_flags INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds
                                              -Wno-restrict -Wno-stringop-overread)
endif()
if(WEIR_SANITIZE)
  target_compile_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
endif()
# The code of a test is compiled in half the time without optimization; what it tests keeps the flags of the preset.
target_compile_options(weir_flags INTERFACE $<$<BOOL:$<TARGET_PROPERTY:WEIR_TEST_PROGRAM>>:-O0>)
# The layers that parse outside bytes count edges for libFuzzer, in the same objects that the tests use (fuzz/).
set(WEIR_FUZZED_LAYERS base gguf quant text checkpoint config kv http api bench)
target_link_libraries(weir_flags INTERFACE Threads::Threads)

if(WEIR_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_library(weir_test_paths STATIC ${CMAKE_SOURCE_DIR}/src/base/paths_testing.cc)
  target_link_libraries(weir_test_paths PRIVATE weir_flags)
  target_compile_definitions(weir_test_paths PRIVATE WEIR_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
endif()

function(weir_layer NAME)
  cmake_parse_arguments(L "" "" "LINKS;LIBS" ${ARGN})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_test(ing)?\\.cc$")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(NOT sources)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty.cc "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty.cc)
  endif()
  add_library(weir_${NAME} STATIC ${sources})
  target_link_libraries(weir_${NAME} PUBLIC weir_flags ${L_LIBS})
  foreach(link ${L_LINKS})
    target_link_libraries(weir_${NAME} PUBLIC weir_${link})
  endforeach()
  if(WEIR_FUZZ AND NAME IN_LIST WEIR_FUZZED_LAYERS)
    target_compile_options(weir_${NAME} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  if(WEIR_TESTS AND tests)
    add_executable(weir_${NAME}_tests ${tests})
    target_link_libraries(weir_${NAME}_tests PRIVATE weir_${NAME} weir_test_paths
                                                     GTest::gtest GTest::gmock GTest::gtest_main)
    set_target_properties(weir_${NAME}_tests PROPERTIES WEIR_TEST_PROGRAM ON)
    gtest_discover_tests(weir_${NAME}_tests TEST_PREFIX ${NAME}. DISCOVERY_MODE PRE_TEST
                         PROPERTIES LABELS ${NAME} TIMEOUT 600)
  endif()
endfunction()
