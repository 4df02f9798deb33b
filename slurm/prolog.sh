#!/bin/bash
# Slurm's Prolog, as root before a job's first task on a node: removes what ended ranks left in /dev/shm, so that a new
# job has its room. Files that a living process maps, or of other programs, are not touched. Always ends with 0: a
# prolog that fails drains the node.
exec "$(dirname -- "${BASH_SOURCE[0]}")/sweep_shm.sh"
