#!/bin/bash
# Slurm's HealthCheckProgram, or a check of NHC: prints nothing and ends with 0 when Lockstep can run on this node;
# otherwise it prints the reason, and with --drain drains the node. Takes a second; needs no network.
set -u
program=${LOCKSTEP:-lockstep}

complain() {
  printf 'lockstep: %s\n' "$1"
  [[ ${drain:-0} == 1 ]] &&
    scontrol update NodeName="${SLURMD_NODENAME:-$(hostname -s)}" State=DRAIN Reason="lockstep: $1"
  exit 1
}

[[ ${1:-} == --drain ]] && drain=1
command -v "$program" >/dev/null || complain "no program $program on PATH"
free=$(df --output=avail --block-size=1M /dev/shm 2>/dev/null | tail -n 1)
((${free:-0} >= 64)) || complain "/dev/shm has ${free:-0} MiB left; see epilog.sh"
# Devices, libraries, instruction sets: 69 says that no device can run a model.
timeout 20 "$program" doctor >/dev/null 2>&1
status=$?
((status == 0)) || complain "'$program doctor' ends with status $status"
