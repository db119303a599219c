#!/usr/bin/env bash
# Runs a Windows program, as cargo's runner: wine-run.sh SECONDS WINE PROGRAM [ARGUMENT ...]
#
# Rarely Wine 8 ends with 1 before the program has begun (`scripts/windows.sh` says why): nothing of it has run and nothing is
# written, while each of ours, tests first of all, writes before it does anything. That is tried again, and said.
set -uo pipefail
seconds=$1; shift
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for attempt in 1 2 3; do
  # To a file: a pipe would be held open by processes that Wine has half made. And no program is to think that cargo is within
  # reach: Wine starts one of Linux that is named by its path.
  env -u CARGO timeout -k 5 "$seconds" "$@" >"$said" 2>&1
  code=$?
  if [ "$code" = 1 ] && [ ! -s "$said" ] && [ "$attempt" -lt 3 ]; then
    echo "wine-run: Wine ended before ${2##*[/\\]} had begun; again" >&2
    continue
  fi
  cat "$said"
  exit "$code"
done
