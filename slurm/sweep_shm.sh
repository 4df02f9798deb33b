#!/bin/bash
# sweep_shm.sh [USER]: removes files of Open MPI and Lockstep in /dev/shm that no process uses, of USER or of all.
# SHM_FOLDER names another folder, for tests.
set -u
shopt -s nullglob
folder=${SHM_FOLDER:-/dev/shm}

# The inodes below the folder that some process has open or mapped.
declare -A used=()
while read -r inode; do used[$inode]=1; done < <(
  {
    cat /proc/[0-9]*/maps 2>/dev/null | awk -v folder="$folder/" 'index($6, folder) == 1 { print $5 }'
    find /proc/[0-9]*/fd -lname "$folder/*" -exec stat --dereference --format %i {} + 2>/dev/null
  } | sort --unique
)
for path in "$folder"/vader_segment.* "$folder"/osc_rdma.* "$folder"/sm_segment.* "$folder"/lockstep.*; do
  [[ -f $path && ! -L $path ]] || continue
  read -r inode owner < <(stat --format '%i %U' -- "$path" 2>/dev/null) || continue
  [[ -z ${1:-} || $owner == "$1" ]] || continue
  [[ -z ${used[$inode]:-} ]] && rm -f -- "$path"
done
exit 0
