# What is installed, by component, and the Debian packages that are made of it: `make packages`.
include(GNUInstallDirs)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # a package needs the programs, not the tests
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(debian ${CMAKE_SOURCE_DIR}/deploy/debian)
set(made ${CMAKE_BINARY_DIR}/packages)

# headroom_manual(PROGRAM SECTION NAME): its --help as a manual page, where help2man is there.
find_program(HELP2MAN help2man)
add_custom_target(manuals)
function(headroom_manual PROGRAM SECTION NAME COMPONENT)
  set(page ${made}/${PROGRAM}.${SECTION})
  if(HELP2MAN)
    add_custom_command(OUTPUT ${page}.gz
      COMMAND ${HELP2MAN} --no-info --version-string=${PROJECT_VERSION} --section=${SECTION} --name=${NAME} --output=${page} $<TARGET_FILE:${PROGRAM}>
      COMMAND gzip -9nf ${page}
      DEPENDS ${PROGRAM} VERBATIM)
    add_custom_target(${PROGRAM}_manual DEPENDS ${page}.gz)
    add_dependencies(manuals ${PROGRAM}_manual)
  endif()
  install(FILES ${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${SECTION} COMPONENT ${COMPONENT} OPTIONAL)
endfunction()

# headroom_install_unit(COMPONENT NAME): a systemd unit and the file with its options.
function(headroom_install_unit COMPONENT NAME)
  install(FILES ${CMAKE_SOURCE_DIR}/deploy/systemd/${NAME}.service DESTINATION lib/systemd/system COMPONENT ${COMPONENT})
  install(FILES ${debian}/${NAME}.default DESTINATION /etc/default RENAME ${NAME} COMPONENT ${COMPONENT})
endfunction()

# headroom_documents(COMPONENT FILES...): what Debian wants of every package, and more.
file(MAKE_DIRECTORY ${made})
execute_process(COMMAND gzip -9n INPUT_FILE ${debian}/changelog OUTPUT_FILE ${made}/changelog.Debian.gz)
function(headroom_documents COMPONENT)
  install(FILES ${debian}/copyright ${made}/changelog.Debian.gz ${ARGN} DESTINATION share/doc/${COMPONENT} COMPONENT ${COMPONENT})
endfunction()

install(TARGETS headroomd RUNTIME COMPONENT headroom-server)
headroom_manual(headroomd 8 "the Headroom controller" headroom-server)
headroom_install_unit(headroom-server headroomd)
install(FILES ${debian}/policy.yaml DESTINATION /etc/headroom COMPONENT headroom-server)
install(FILES deploy/systemd/headroom.sysusers DESTINATION lib/sysusers.d RENAME headroom-server.conf COMPONENT headroom-server)
headroom_documents(headroom-server docs/policy.md docs/operations.md)
install(DIRECTORY deploy/examples DESTINATION share/doc/headroom-server COMPONENT headroom-server)

install(TARGETS headroomctl RUNTIME COMPONENT headroom-cli)
headroom_manual(headroomctl 1 "see and steer a Headroom controller" headroom-cli)
headroom_documents(headroom-cli)

install(TARGETS headroom-agent headroom-node RUNTIME COMPONENT headroom-agent)
headroom_manual(headroom-agent 1 "keep a HAProxy equal to a Headroom fleet" headroom-agent)
headroom_manual(headroom-node 1 "file server with limits that Headroom moves" headroom-agent)
headroom_install_unit(headroom-agent headroom-agent)
headroom_install_unit(headroom-agent headroom-node)
install(FILES deploy/systemd/headroom.sysusers DESTINATION lib/sysusers.d RENAME headroom-agent.conf COMPONENT headroom-agent)
headroom_documents(headroom-agent)

# The maintainer's scripts and the list of configuration files are named as Debian names them.
function(headroom_control COMPONENT SHORT)
  set(folder ${made}/${COMPONENT})
  foreach(script postinst prerm postrm)
    if(EXISTS ${debian}/${SHORT}.${script})
      configure_file(${debian}/${SHORT}.${script} ${folder}/${script} COPYONLY
        FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
      list(APPEND files ${folder}/${script})
    endif()
  endforeach()
  list(JOIN ARGN "\n" conffiles)
  file(WRITE ${folder}/conffiles "${conffiles}\n")
  string(TOUPPER ${COMPONENT} component)
  set(CPACK_DEBIAN_${component}_PACKAGE_CONTROL_EXTRA ${files} ${folder}/conffiles PARENT_SCOPE)
endfunction()
headroom_control(headroom-server server /etc/headroom/policy.yaml /etc/default/headroomd)
headroom_control(headroom-agent agent /etc/default/headroom-agent /etc/default/headroom-node)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME headroom)
set(CPACK_PACKAGE_CONTACT "The Headroom authors <packages@headroom.dev>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_OUTPUT_FILE_PREFIX ${CMAKE_BINARY_DIR}/packages)
set(CPACK_COMPONENTS_ALL headroom-server headroom-cli headroom-agent)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
foreach(component HEADROOM-SERVER HEADROOM-CLI HEADROOM-AGENT)
  string(TOLOWER ${component} name)
  set(CPACK_DEBIAN_${component}_PACKAGE_NAME ${name})
endforeach()
set(CPACK_DEBIAN_HEADROOM-SERVER_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, passwd, init-system-helpers (>= 1.54~)")
set(CPACK_DEBIAN_HEADROOM-AGENT_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, passwd, init-system-helpers (>= 1.54~)")
set(CPACK_DEBIAN_HEADROOM-SERVER_PACKAGE_RECOMMENDS "headroom-cli")
set(CPACK_DEBIAN_HEADROOM-SERVER_PACKAGE_SUGGESTS "headroom-agent")
set(CPACK_DEBIAN_HEADROOM-AGENT_PACKAGE_SUGGESTS "haproxy")
set(CPACK_COMPONENT_HEADROOM-SERVER_DESCRIPTION "autoscaling controller for storage clusters
Headroom gathers load reports of file and object storage nodes over gRPC and
drives two actuators together: the connection limit of each node and the
number of nodes. This package has the controller, headroomd. As installed it
runs in dry run over a simulated cluster.")
set(CPACK_COMPONENT_HEADROOM-CLI_DESCRIPTION "see and steer a Headroom controller
headroomctl shows what a Headroom controller sees, decides and why, holds and
overrides it, replays its journal and plans capacity.")
set(CPACK_COMPONENT_HEADROOM-AGENT_DESCRIPTION "what runs beside storage under Headroom
headroom-agent keeps a HAProxy equal to the fleet that a Headroom controller
drives and reports its load; headroom-node is a file server whose limits
Headroom moves.")
include(CPack)
