#!/usr/bin/env bash
# What must hold of the Windows target, under Wine: lints, the pure cores, the leaf, the process tests, the examples.
#
#   scripts/windows-ci.sh           runs all of it
#   scripts/windows-ci.sh --list    says which tests run on Windows, as arguments for `cargo test`
set -euo pipefail
cd "$(dirname "$0")/.."

# Not on Windows: what compares the compiler's words, which needs a compiler there; the text search, which is about the
# sources; and the files of which each says at its top why it is about Linux alone.
tests() {
  printf -- '-p procession -p procession-spawn-windows -p procession-tests --lib --test conformance --test windows '
  local file
  for file in tests/tests/*.rs; do
    case $file in */compile_errors.rs | */tidy.rs) continue ;; esac
    grep -qE '^#!?\[cfg\(target_os = "linux"\)\]' "$file" && continue
    printf -- '--test %s ' "$(basename "$file" .rs)"
  done
}
if [ "${1:-}" = --list ]; then tests; exit 0; fi

step() { printf '\n=== the Windows target: %s (%s s)\n' "$1" "$SECONDS"; }
on_windows() { scripts/windows.sh "$@"; }

step 'setup'
on_windows setup
work=$(mktemp -d)
trap 'rm -rf "$work"; scripts/windows.sh stop' EXIT
eval "$(on_windows env | grep CARGO_TARGET_DIR)"

step 'lints'
# The lint does not see the `const` in what `thread_local!` becomes on this target.
on_windows clippy --workspace --all-targets -- -D warnings -A clippy::missing_const_for_thread_local

step 'tests: the pure cores, the leaf, the processes'
# Cargo is out of reach in there, so what they start is built before.
on_windows build -p procession -p procession-spawn-windows -p procession-tests -p procession-examples --examples
# A test that kills at another moment each time does it 20 times on Linux; a start takes thirty times as long here.
export PROCESSION_TRIALS=${PROCESSION_TRIALS:-5}
export PROCESSION_WINDOWS_TIMEOUT=${PROCESSION_WINDOWS_TIMEOUT:-1500}
# The pure cores have no word of a system in them: trying every schedule of theirs again takes minutes and tells nothing new.
again=(--skip ::exhaustive:: --skip ::model:: --skip ::lives:: --skip ::peers:: --skip mutated)
failed=
: >"$work/tests"
processes() { tests | sed 's/-p procession //'; }
# shellcheck disable=SC2046
{
  pure=0
  on_windows test -p procession --lib -- "${again[@]}" || pure=1
  on_windows test $(processes) -p procession-examples --no-fail-fast && exit "$pure"
} >"$work/tests" 2>&1 &
tests=$!
# Not by a pipe, which would end only when the last of the processes that Wine has half made and forgotten does.
tail -n +1 -f --pid "$tests" "$work/tests"
wait "$tests" || failed='some tests'

step 'examples'
examples=$CARGO_TARGET_DIR/x86_64-pc-windows-gnu/debug/examples
for example in process pool results completion queue pool_queue shared_state lock deadlock bank blob mandelbrot; do
  echo "--- $example"
  # Wine keeps shared memory in files: 256 MiB of it take a minute there.
  arguments=()
  [ "$example" = blob ] && arguments=(32)
  PROCESSION_WINDOWS_TIMEOUT=60 on_windows run "$examples/$example.exe" "${arguments[@]}" </dev/null >"$work/said" 2>&1 ||
    failed="$failed, $example"
  cat "$work/said"
done
echo '--- catalog, 2,000 files, with and without chaos'
mkdir -p "$work/tree"
for n in $(seq 2000); do
  mkdir -p "$work/tree/$((n % 40)) of many"
  for line in $(seq $((n % 7))); do echo "line $line of file $n"; done >"$work/tree/$((n % 40)) of many/$n.txt"
done
for chaos in '' --chaos; do
  database="$work/catalog$chaos.db"
  # shellcheck disable=SC2086
  { PROCESSION_WINDOWS_TIMEOUT=120 on_windows run "$examples/catalog.exe" "Z:$work/tree" --db "Z:$database" $chaos \
    </dev/null >"$work/said" 2>&1 &&
    grep -q 'catalog: 2000 files, 0 failures' "$work/said" &&
    scripts/check-catalog.sh "$work/tree" "$database"; } || failed="$failed, catalog $chaos"
  tail -n 5 "$work/said"
done

step 'the tests'
scripts/tally.sh 'Windows, under Wine' "$work/tests"
if [ -n "$failed" ]; then echo "failed on Windows: ${failed#, }" >&2; exit 1; fi
step 'done'
