#!/bin/bash
# run.sh TARGET OUT SECONDS: fuzzes from the seed corpus of the target. New inputs go to a scratch folder that the next
# run starts from; an input that fails stays in OUT and its path is printed.
set -euo pipefail
target=$1 out=$2 seconds=$3

here=$(cd "$(dirname "$0")" && pwd)
name=$(basename "$target")
name=${name%_fuzz}
seeds=$here/corpus/$name
scratch=$out/$name
mkdir -p "$scratch"

if [[ ! -d $seeds ]] || [[ -z $(ls -A "$seeds") ]]; then
  echo "tests/fuzz/corpus/$name: no seeds" >&2
  exit 1
fi
options=()
if [[ -f $here/$name.dict ]]; then options+=("-dict=$here/$name.dict"); fi
export ASAN_OPTIONS=detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1
exec "$target" "-max_total_time=$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
  "-artifact_prefix=$out/$name-" "${options[@]}" "$scratch" "$seeds"
