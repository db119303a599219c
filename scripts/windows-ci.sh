#!/usr/bin/env bash
# What must hold of the Windows target, under Wine: lints, the leaf, the pure cores, the process tests, the examples.
#
#   scripts/windows-ci.sh           runs all of it
#   scripts/windows-ci.sh --list    says which of the process tests run on Windows, as arguments for cargo
set -euo pipefail
cd "$(dirname "$0")/.."

# Not on Windows: what compares the compiler's words, which needs a compiler there; the text search, which is about the
# sources; and the files of which each says at its top that it sees processes as only Linux shows them.
tests() {
  local file
  for file in tests/tests/*.rs; do
    case $file in */compile_errors.rs | */tidy.rs) continue ;; esac
    grep -qE '^#!?\[cfg\((not\()?target_os = "linux"\)?\)\]' "$file" && continue
    printf -- '--test %s ' "$(basename "$file" .rs)"
  done
}
if [ "${1:-}" = --list ]; then tests; exit 0; fi

step() { printf '\n=== the Windows target: %s (%s s)\n' "$1" "$SECONDS"; }
on_windows() { scripts/windows.sh "$@"; }

step 'setup'
on_windows setup
trap 'scripts/windows.sh stop' EXIT
eval "$(on_windows env | grep CARGO_TARGET_DIR)"

step 'lints'
# The lint does not see the `const` in what `thread_local!` becomes on this target.
on_windows clippy --workspace --all-targets -- -D warnings -A clippy::missing_const_for_thread_local

step 'the pure cores'
on_windows test -p procession --lib

step 'the leaf'
on_windows test -p procession-spawn-windows

step 'the process tests'
# Cargo is out of reach in there, so what they start is built before.
on_windows build -p procession-examples --examples
# shellcheck disable=SC2046
on_windows test -p procession-tests --no-fail-fast $(tests)

step 'examples'
work=$(mktemp -d)
trap 'rm -rf "$work"; scripts/windows.sh stop' EXIT
examples=$CARGO_TARGET_DIR/x86_64-pc-windows-gnu/debug/examples
for example in process pool results completion queue pool_queue; do
  echo "--- $example"
  PROCESSION_WINDOWS_TIMEOUT=60 on_windows run "$examples/$example.exe" </dev/null | cat
done
echo '--- catalog, 2,000 files, with and without chaos'
mkdir -p "$work/tree"
for n in $(seq 2000); do
  mkdir -p "$work/tree/$((n % 40))"
  echo "file $n of many" >"$work/tree/$((n % 40))/$n.txt"
done
for chaos in '' --chaos; do
  # shellcheck disable=SC2086
  PROCESSION_WINDOWS_TIMEOUT=120 on_windows run "$examples/catalog.exe" "Z:$work/tree" --db "Z:$work/catalog$chaos.db" $chaos \
    </dev/null | tail -n 3 | tee "$work/said"
  grep -q 'catalog: 2000 files, 0 failures' "$work/said"
done
step 'done'
