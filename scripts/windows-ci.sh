#!/usr/bin/env bash
# What must hold of the Windows target, under Wine: lints, the pure cores, the leaf, the process tests, the examples.
#
#   scripts/windows-ci.sh           runs all of it
#   scripts/windows-ci.sh --build   only builds what that needs, so that it can be done while something else waits
#   scripts/windows-ci.sh --list    says which tests run on Windows, as arguments for `cargo test`
set -euo pipefail
cd "$(dirname "$0")/.."

# Not on Windows: what compares the compiler's words, which needs a compiler there; the text search, which is about the
# sources; and the files of which each says at its top why it is about Linux alone.
programs() {
  printf -- '--test conformance --test windows '
  local file
  for file in tests/tests/*.rs; do
    case $file in */compile_errors.rs | */tidy.rs) continue ;; esac
    grep -qE '^#!?\[cfg\(target_os = "linux"\)\]' "$file" && continue
    printf -- '--test %s ' "$(basename "$file" .rs)"
  done
}
packages='-p procession -p procession-spawn-windows -p procession-tests'
if [ "${1:-}" = --list ]; then echo "$packages --lib $(programs)"; exit 0; fi
# The same for each command: which packages are asked for decides with what features their dependencies are built, and each other
# choice builds half of them again.
packages="$packages -p procession-examples"
# Nothing here is built twice with a change between.
export CARGO_INCREMENTAL=0

step() { printf '\n=== the Windows target: %s (%s s)\n' "$1" "$SECONDS"; }
on_windows() { scripts/windows.sh "$@"; }
# The lint does not see the `const` in what `thread_local!` becomes on this target.
lint() { on_windows clippy --workspace --all-targets -- -D warnings -A clippy::missing_const_for_thread_local; }
# Cargo is out of reach in there, so what the tests start is built before.
# shellcheck disable=SC2086,SC2046
build() { on_windows build $packages --examples && on_windows test --no-run $packages --lib $(programs); }
if [ "${1:-}" = --build ]; then
  # No Wine server is left that is as nice as this.
  trap 'scripts/windows.sh stop' EXIT
  build
  lint
  exit
fi

step 'setup'
on_windows setup
work=$(mktemp -d)
trap 'rm -rf "$work"; scripts/windows.sh stop' EXIT
eval "$(on_windows env | grep CARGO_TARGET_DIR)"

step 'lints'
lint

step 'what the tests need'
build

step 'tests: the pure cores, the leaf, the processes'
# A test that kills at another moment each time does it 20 times on Linux; a start takes thirty times as long here.
export PROCESSION_TRIALS=${PROCESSION_TRIALS:-5}
export PROCESSION_WINDOWS_TIMEOUT=${PROCESSION_WINDOWS_TIMEOUT:-1500}
# The pure cores have no word of a system in them: trying every schedule of theirs again takes minutes and tells nothing new, nor
# do many random cases, where a test does not say how many it needs.
again=(--skip ::exhaustive:: --skip ::model:: --skip ::lives:: --skip ::peers:: --skip ::speed:: --skip mutated)
export PROPTEST_CASES=${PROPTEST_CASES:-32}
failed=
: >"$work/tests"
# shellcheck disable=SC2046,SC2086
{
  pure=0
  on_windows test $packages --lib --no-fail-fast -- "${again[@]}" || pure=1
  on_windows test $packages $(programs) --no-fail-fast && exit "$pure"
} >"$work/tests" 2>&1 &
tests=$!
# Not by a pipe, which would end only when the last of the processes that Wine has half made and forgotten does.
tail -n +1 -f --pid "$tests" "$work/tests"
wait "$tests" || failed='some tests'

step 'examples'
# Some panic to show what becomes of it.
export RUST_BACKTRACE=0
: >"$work/failed"
repeat() { printf '\n---- example %s\n' "$1"; tail -n 60 "$work/said"; }
examples=$CARGO_TARGET_DIR/x86_64-pc-windows-gnu/debug/examples
for example in process pool results completion queue pool_queue shared_state lock deadlock bank blob mandelbrot; do
  echo "--- $example"
  # Wine keeps shared memory in files: 256 MiB of it take a minute there.
  arguments=()
  [ "$example" = blob ] && arguments=(32)
  PROCESSION_WINDOWS_TIMEOUT=60 on_windows run "$examples/$example.exe" "${arguments[@]}" </dev/null >"$work/said" 2>&1 ||
    { failed="$failed, $example"; repeat "$example" >>"$work/failed"; }
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
    scripts/check-catalog.sh "$work/tree" "$database"; } ||
    { failed="$failed, catalog $chaos"; repeat "catalog $chaos" >>"$work/failed"; }
  tail -n 5 "$work/said"
done

step 'the tests'
scripts/tally.sh 'Windows, under Wine' "$work/tests"
if [ -n "$failed" ]; then
  scripts/failures.sh "$work/tests"
  cat "$work/failed"
  echo "failed on Windows: ${failed#, }"
  exit 1
fi
step 'done'
