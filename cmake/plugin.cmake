# SPDX-License-Identifier: Apache-2.0
# cni_add_plugin(NAME [NET] SOURCES file...)
#   An OBJECT library cni_plugin_NAME, for the tests and for the one binary of all plugins. NET: the
#   plugin speaks netlink.
function(cni_add_plugin name)
  cmake_parse_arguments(arg "NET" "" "SOURCES" ${ARGN})
  add_library(cni_plugin_${name} OBJECT ${arg_SOURCES})
  target_include_directories(cni_plugin_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}
                             PRIVATE ${PROJECT_SOURCE_DIR}/plugins)
  target_link_libraries(cni_plugin_${name} PUBLIC cni::core)
  if(arg_NET)
    target_link_libraries(cni_plugin_${name} PUBLIC cni::net)
  endif()
  set_property(GLOBAL APPEND PROPERTY CNI_PLUGINS ${name})
endfunction()

# cni_add_suite(SOURCE): the executable cnipp with all plugins in it, and for each a link with its
# name beside it (target cni_exe_NAME).
function(cni_add_suite source)
  get_property(plugins GLOBAL PROPERTY CNI_PLUGINS)
  add_executable(cnipp ${source})
  target_link_options(cnipp PRIVATE $<$<CONFIG:Release>:-s>)
  set_target_properties(cnipp PROPERTIES LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/startup-order.txt)
  add_executable(cnipp_symbols EXCLUDE_FROM_ALL ${source})  # for tools/startup-order and debuggers
  set_target_properties(cnipp_symbols PROPERTIES OUTPUT_NAME cnipp
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/symbols)
  list(TRANSFORM plugins PREPEND cni_plugin_ OUTPUT_VARIABLE libraries)
  target_link_libraries(cnipp PRIVATE ${libraries})
  target_link_libraries(cnipp_symbols PRIVATE ${libraries})
  foreach(plugin IN LISTS plugins)
    set(link ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${plugin})
    add_custom_command(OUTPUT ${link} DEPENDS cnipp VERBATIM
      COMMAND ${CMAKE_COMMAND} -E create_symlink cnipp ${link})
    add_custom_target(cni_exe_${plugin} ALL DEPENDS ${link})
  endforeach()
endfunction()

# Installs the suite and cnitool into CNI_BIN_DIR, each name by rename: a runtime may be executing
# the old file. Links are relative, so that the folder can be mounted elsewhere.
function(cni_install_suite)
  get_property(plugins GLOBAL PROPERTY CNI_PLUGINS)
  install(CODE "
    set(destination \"\$ENV{DESTDIR}${CNI_BIN_DIR}\")
    file(MAKE_DIRECTORY \"\${destination}\")
    foreach(file \"$<TARGET_FILE:cnipp>\" \"$<TARGET_FILE:cnitool>\")
      get_filename_component(name \"\${file}\" NAME)
      message(STATUS \"Installing: \${destination}/\${name}\")
      file(COPY_FILE \"\${file}\" \"\${destination}/.\${name}.new\")
      file(CHMOD \"\${destination}/.\${name}.new\" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
           GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
      file(RENAME \"\${destination}/.\${name}.new\" \"\${destination}/\${name}\")
    endforeach()
    foreach(name ${plugins})
      message(STATUS \"Installing: \${destination}/\${name} -> cnipp\")
      file(CREATE_LINK cnipp \"\${destination}/.\${name}.new\" SYMBOLIC)
      file(RENAME \"\${destination}/.\${name}.new\" \"\${destination}/\${name}\")
    endforeach()")
endfunction()
