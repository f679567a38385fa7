#!/usr/bin/env bash
# Installs the Debian packages that Headroom builds and tests with, those that are missing, and says which first. Of what
# has a service nothing is started: its programs are run by the demo and the tests themselves.
#   deploy/deps.sh [LIST...]    default: dependencies.txt; `make bench` adds dependencies-bench.txt
set -euo pipefail
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- dependencies.txt
mapfile -t wanted < <(sed 's/#.*//' "$@" | tr -s ' \t' '\n' | grep -v '^$')
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
# Debian's way to say that no service is to be started now; one that is there already stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap '"${run[@]}" rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${run[@]}" tee $policy >/dev/null
  "${run[@]}" chmod 755 $policy
fi
"${run[@]}" apt-get update -q
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
