# find_package(traitcore), then target_link_libraries(yours traitcore::core). The same file lies in a Python package
# (traitcore/cmake, beside traitcore/include) and under an install prefix (lib/cmake/traitcore).
include(CMakeFindDependencyMacro)
find_dependency(Threads)
get_filename_component(_traitcore_include "${CMAKE_CURRENT_LIST_DIR}/../include" ABSOLUTE)
if(NOT EXISTS "${_traitcore_include}/traitcore/version.hpp")
  get_filename_component(_traitcore_include "${CMAKE_CURRENT_LIST_DIR}/../../../include" ABSOLUTE)
endif()
if(NOT TARGET traitcore::core)
  add_library(traitcore::core INTERFACE IMPORTED)
  set_target_properties(traitcore::core PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_traitcore_include}"
                        INTERFACE_COMPILE_FEATURES cxx_std_17 INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
# The C library is there where it was installed: cmake -DTRAITCORE_C_API=ON.
if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/traitcoreC.cmake" AND NOT TARGET traitcore::c)
  include("${CMAKE_CURRENT_LIST_DIR}/traitcoreC.cmake")
endif()
