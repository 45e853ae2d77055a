# SPDX-License-Identifier: Apache-2.0
# cni_add_plugin(NAME [NET] SOURCES file...)
#   An OBJECT library cni_plugin_NAME for the tests and an executable NAME from main.cpp. NET: the
#   plugin speaks netlink (links cni_net); without it an accidental netlink include does not link.
function(cni_add_plugin name)
  cmake_parse_arguments(arg "NET" "" "SOURCES" ${ARGN})
  add_library(cni_plugin_${name} OBJECT ${arg_SOURCES})
  target_include_directories(cni_plugin_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(cni_plugin_${name} PUBLIC cni::core)
  if(arg_NET)
    target_link_libraries(cni_plugin_${name} PUBLIC cni::net)
  endif()
  add_executable(cni_exe_${name} main.cpp)
  set_target_properties(cni_exe_${name} PROPERTIES OUTPUT_NAME ${name})
  target_link_libraries(cni_exe_${name} PRIVATE cni_plugin_${name})
  set_property(GLOBAL APPEND PROPERTY CNI_PLUGINS ${name})
endfunction()

# Installs every plugin into CNI_BIN_DIR by rename: a runtime may be executing the old file.
function(cni_install_plugins)
  get_property(plugins GLOBAL PROPERTY CNI_PLUGINS)
  set(files)
  foreach(plugin IN LISTS plugins)
    list(APPEND files "$<TARGET_FILE:cni_exe_${plugin}>")
  endforeach()
  list(APPEND files "$<TARGET_FILE:cnitool>")
  list(JOIN files "\" \"" quoted)
  install(CODE "
    set(destination \"\$ENV{DESTDIR}${CNI_BIN_DIR}\")
    file(MAKE_DIRECTORY \"\${destination}\")
    foreach(file \"${quoted}\")
      get_filename_component(name \"\${file}\" NAME)
      message(STATUS \"Installing: \${destination}/\${name}\")
      file(COPY_FILE \"\${file}\" \"\${destination}/.\${name}.new\")
      file(CHMOD \"\${destination}/.\${name}.new\" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
           GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
      file(RENAME \"\${destination}/.\${name}.new\" \"\${destination}/\${name}\")
    endforeach()")
endfunction()
