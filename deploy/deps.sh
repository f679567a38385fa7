#!/usr/bin/env bash
# Installs the Debian packages that Headroom builds and tests with, those that are missing, and says which first.
set -euo pipefail
cd "$(dirname "$0")"
mapfile -t wanted < <(sed 's/#.*//' dependencies.txt | tr -s ' \t' '\n' | grep -v '^$')
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "deps: this system has no apt. Headroom is built on Debian 12; install the equivalents of:" >&2
  printf '  %s\n' "${wanted[@]}" >&2
  exit 1
fi
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^ii *//p')
missing=()
for package in "${wanted[@]}"; do grep -qxF "$package" <<<"$installed" || missing+=("$package"); done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "deps: installing ${#missing[@]} Debian packages: ${missing[*]}"
run=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "deps: not root and no sudo. As root, run: apt-get install --no-install-recommends ${missing[*]}" >&2; exit 1; }
  run=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${run[@]}" apt-get update -q
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
