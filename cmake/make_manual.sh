#!/bin/bash
# make_manual.sh LOCKSTEP FOLDER: manual pages and completions of this program.
set -euo pipefail
program=$1
folder=$2
rm -rf -- "$folder/man1" "$folder/completions" # A command that is gone leaves no page.
mkdir -p -- "$folder/man1" "$folder/completions"
while read -r name; do
  command=${name#lockstep}
  "$program" manual page "${command#-}" >"$folder/man1/$name.1"
done < <("$program" manual names)
"$program" manual bash >"$folder/completions/lockstep.bash"
"$program" manual zsh >"$folder/completions/_lockstep"
"$program" manual fish >"$folder/completions/lockstep.fish"
