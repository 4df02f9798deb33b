-- Lmod: copy to MODULEPATH/lockstep/VERSION.lua and set the prefix.
local prefix = "/opt/lockstep"
help("Lockstep: one large language model over the ranks of a cluster. lockstep --help, man lockstep-slurm")
whatis("Name: lockstep")
whatis("Category: machine learning")
depends_on("openmpi")
prepend_path("PATH", pathJoin(prefix, "bin"))
prepend_path("MANPATH", pathJoin(prefix, "share/man"))
prepend_path("XDG_DATA_DIRS", pathJoin(prefix, "share"))
