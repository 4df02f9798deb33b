#!/bin/bash
# Slurm's Epilog, as root behind a job on each of its nodes: sweeps what its ranks left in /dev/shm. Only files of the
# job's own user are looked at, and only when that user has no other job on this node.
set -u
user=${SLURM_JOB_USER:-}
[[ -n $user ]] || exit 0
node=${SLURMD_NODENAME:-$(hostname -s)}
others=$(squeue --noheader --user "$user" --nodelist "$node" --states RUNNING --format %A 2>/dev/null |
  grep -cvx "${SLURM_JOB_ID:-0}")
((others == 0)) && "$(dirname -- "${BASH_SOURCE[0]}")/sweep_shm.sh" "$user"
exit 0
