#!/bin/bash
# install_packages.sh LIST...: installs the Debian packages that the lists name and this machine lacks, as root or by
# sudo. Asks the network for nothing when none is missing.
set -euo pipefail

mapfile -t wanted < <(cat "$@")
installed=$(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  grep --quiet --line-regexp --fixed-strings "$package installed" <<<"$installed" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then exit 0; fi

as_root=(env DEBIAN_FRONTEND=noninteractive)
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "Missing packages, and neither root nor sudo here. As root: apt-get install ${missing[*]}" >&2
    exit 77
  fi
  as_root=(sudo "${as_root[@]}")
fi

echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
install=("${as_root[@]}" apt-get install --yes --quiet --quiet --no-install-recommends "${missing[@]}")
# Fresh machines have no package index, long-lived ones an outdated one: fetch it only then.
if ! "${install[@]}" >/dev/null 2>&1; then
  "${as_root[@]}" apt-get update --quiet --quiet
  "${install[@]}" >/dev/null
fi
