# `cmake --install` into GNUInstallDirs, and `cpack` into three .deb: runtime, slurm (the administrator's kit), doc.
include(GNUInstallDirs)

# Manual pages and completions come from the program's own tables.
set(manual "${PROJECT_BINARY_DIR}/manual")
add_custom_command(
  OUTPUT "${manual}/made.stamp"
  COMMAND "${PROJECT_SOURCE_DIR}/cmake/make_manual.sh" "$<TARGET_FILE:lockstep>" "${manual}"
  COMMAND "${CMAKE_COMMAND}" -E touch "${manual}/made.stamp"
  DEPENDS lockstep "${PROJECT_SOURCE_DIR}/cmake/make_manual.sh"
  VERBATIM)
add_custom_target(lockstep_manual ALL DEPENDS "${manual}/made.stamp")

install(TARGETS lockstep RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
if(TARGET lockstep_cuda_plugin)  # Looked for beside the executable.
  install(TARGETS lockstep_cuda_plugin LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
endif()
install(FILES "${manual}/completions/lockstep.bash" DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME lockstep COMPONENT runtime)
install(FILES "${manual}/completions/_lockstep" DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions
        COMPONENT runtime)
install(FILES "${manual}/completions/lockstep.fish" DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
        COMPONENT runtime)
install(DIRECTORY "${manual}/man1" DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT doc)

set(kit "${PROJECT_SOURCE_DIR}/slurm")
set(kit_target ${CMAKE_INSTALL_DATADIR}/lockstep/slurm)
install(PROGRAMS "${kit}/prolog.sh" "${kit}/epilog.sh" "${kit}/sweep_shm.sh" "${kit}/health_check.sh"
        DESTINATION ${kit_target} COMPONENT slurm)
install(FILES "${kit}/serve.sbatch" "${kit}/batch.sbatch" "${kit}/bench.sbatch" "${kit}/site.toml"
              "${kit}/slurm.conf.fragment" "${kit}/job_submit.lua" "${kit}/modulefile.lua"
              "${kit}/lockstep-gateway.service" "${kit}/grafana-dashboard.json" "${kit}/README.md"
        DESTINATION ${kit_target} COMPONENT slurm)
install(FILES "${kit}/man/lockstep-site.toml.5" DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 COMPONENT doc)
install(FILES "${kit}/man/lockstep-slurm.8" DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT doc)
install(FILES "${PROJECT_SOURCE_DIR}/README.md" DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT doc)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lockstep)
set(CPACK_PACKAGE_CONTACT "Lockstep <lockstep@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Runs one large language model over the ranks of a cluster, bit for bit")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL runtime slurm doc)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME lockstep)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS "openmpi-bin")
set(CPACK_DEBIAN_SLURM_PACKAGE_NAME lockstep-slurm)
set(CPACK_DEBIAN_SLURM_PACKAGE_DEPENDS "lockstep, bash, openssl")
set(CPACK_DEBIAN_SLURM_PACKAGE_RECOMMENDS "slurm-client")
set(CPACK_DEBIAN_SLURM_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_DOC_PACKAGE_NAME lockstep-doc)
set(CPACK_DEBIAN_DOC_PACKAGE_ARCHITECTURE all)
set(CPACK_STRIP_FILES ON)
include(CPack)
