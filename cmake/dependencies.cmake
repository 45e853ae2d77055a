# SPDX-License-Identifier: Apache-2.0
find_package(PkgConfig REQUIRED)
if(CNI_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)  # pkg-config's modules name the files found with these
endif()
find_package(nlohmann_json 3.9 REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(LIBNL REQUIRED IMPORTED_TARGET libnl-3.0)
pkg_check_modules(LIBMD REQUIRED IMPORTED_TARGET libmd)
