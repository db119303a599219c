#!/usr/bin/env bash
# Counts the tests in what `cargo test` has said, by test program and in all.
#
#   cargo test ... 2>&1 | tee LOG; scripts/tally.sh SYSTEM LOG
set -euo pipefail
awk -v system_name="$1" '
  / Running / { name = $0; sub(/^.* Running /, "", name); sub(/ \(.*$/, "", name) }
  / Doc-tests / { name = $0; sub(/^.* Doc-tests /, "documentation of ", name) }
  / Running .*[/\\]deps[/\\]/ {
    program = $0; sub(/^.*[/\\]deps[/\\]/, "", program); sub(/-[0-9a-f]+(\.exe)?\)$/, "", program)
    if (name ~ /^unittests /) name = program " (" substr(name, 11) ")"
  }
  /^test result: / {
    for (at = 1; at < NF; at++) {
      if ($(at + 1) ~ /^passed/) passed = $at
      if ($(at + 1) ~ /^failed/) failed = $at
    }
    if (passed + failed > 0) printf "  %-50s %4d passed, %d failed\n", name, passed, failed
    all_passed += passed; all_failed += failed
  }
  END { printf "%s: %d tests passed, %d failed\n", system_name, all_passed, all_failed }
' "$2"
