# SPDX-License-Identifier: Apache-2.0
# cni_flags: what every target of ours is compiled and linked with.
include(CheckLinkerFlag)
option(CNI_WARNINGS_AS_ERRORS "Treat warnings as errors" OFF)

add_library(cni_flags INTERFACE)
# For "..." only: libnl has headers of the same names for its own <netlink/...>.
target_compile_options(cni_flags INTERFACE "SHELL:-iquote ${PROJECT_SOURCE_DIR}/libcni")
target_compile_definitions(cni_flags INTERFACE _GNU_SOURCE CNIPP_VERSION="${PROJECT_VERSION}")
target_compile_options(cni_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-qual
  -Wformat=2 -Wundef -Wnull-dereference -Wextra-semi -Wnon-virtual-dtor -Woverloaded-virtual
  -Wimplicit-fallthrough -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond -Wlogical-op -Wuseless-cast>
  $<$<BOOL:${CNI_WARNINGS_AS_ERRORS}>:-Werror>)

target_compile_options(cni_flags INTERFACE -ffunction-sections -fdata-sections)
target_link_options(cni_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now
                    -Wl,-z,noexecstack)
target_compile_definitions(cni_flags INTERFACE $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)

# The hardening of distributions, for what is installed.
set(CMAKE_CXX_FLAGS_RELEASE "-Os -DNDEBUG")
target_compile_options(cni_flags INTERFACE
  $<$<CONFIG:Release>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
  -fcf-protection>)

if(CNI_STATIC)
  target_compile_options(cni_flags INTERFACE -fPIE)
  target_link_options(cni_flags INTERFACE -static-pie)
  # A tenth of the size of the usual relocation table, and fewer pages to be read at start.
  check_linker_flag(CXX -Wl,-z,pack-relative-relocs CNI_HAVE_PACKED_RELOCATIONS)
  # What a short call runs lies side by side, and few pages are touched; only lld can do it for the
  # C library too. tools/startup-order made the list. Functions of the same code are there once:
  # nothing here compares the addresses of functions.
  check_linker_flag(CXX "-fuse-ld=lld;-Wl,--pack-dyn-relocs=relr" CNI_HAVE_LLD)
  if(CNI_HAVE_LLD)
    target_link_options(cni_flags INTERFACE -fuse-ld=lld -Wl,--pack-dyn-relocs=relr -Wl,--icf=all
      -Wl,--symbol-ordering-file=${PROJECT_SOURCE_DIR}/cmake/startup-order.txt
      -Wl,--no-warn-symbol-ordering)
  elseif(CNI_HAVE_PACKED_RELOCATIONS)
    target_link_options(cni_flags INTERFACE -Wl,-z,pack-relative-relocs)
  endif()
else()
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  include(CheckPIESupported)
  check_pie_supported(LANGUAGES CXX)
endif()

if(CNI_SANITIZE)
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined
      -fno-omit-frame-pointer)
  target_compile_options(cni_flags INTERFACE ${sanitize})
  target_link_options(cni_flags INTERFACE ${sanitize})
endif()

# Coverage for libFuzzer, whose main() only tests/fuzz links.
if(CNI_FUZZ)
  set(sanitize -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  target_compile_options(cni_flags INTERFACE ${sanitize} -O1 -gline-tables-only)
  target_link_options(cni_flags INTERFACE ${sanitize})
endif()
