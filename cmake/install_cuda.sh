#!/usr/bin/env bash
# install_cuda.sh DIR: the pinned CUDA 13.0 toolkit from Python wheels (cuda-requirements.txt) into DIR, with the names
# that the wheels leave out. Needs python3 with pip; no root, no GPU, no driver. Does nothing when DIR is up to date.
set -euo pipefail
requirements=$(dirname "$0")/cuda-requirements.txt
dir=$1
want=$(sha256sum <"$requirements")
if [ -f "$dir/made.stamp" ] && [ "$(cat "$dir/made.stamp")" = "$want" ]; then exit 0; fi
rm -rf "$dir"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile \
  --only-binary=:all: --require-hashes --target "$dir" --requirement "$requirements"
ln -sfn lib "$dir/nvidia/cu13/lib64" # Where nvcc.profile looks.
echo "$want" >"$dir/made.stamp"
