#!/usr/bin/env bash
# Repeats what `cargo test` has said of the tests that failed, without backtraces and at most 60 lines of each.
#
#   cargo test ... 2>&1 | tee LOG; scripts/failures.sh LOG ...
#
# Where only the end of a log is kept, this is the last thing to print.
set -euo pipefail
awk '
  function forget() { first = last + 1 }
  # The last 60 lines of what was said since.
  function remembered(of,  at, text) {
    at = last - 59 < first ? first : last - 59
    text = "\n---- " of "\n"
    if (at > first) text = text "(" at - first " lines more)\n"
    for (; at <= last; at++) text = text said[at] "\n"
    forget()
    return text
  }
  function finish() {
    # One that is for another system says nothing at all.
    if (program != "" && !ended && last >= first) printf "%s", remembered(program ", which did not come to its end")
  }
  function begin(name) {
    finish()
    program = name; ended = 0; section = 0; failed = ""; forget()
  }
  BEGIN { forget() }
  { sub(/\r$/, ""); gsub(/\033\[[0-9;]*[A-Za-z]/, "") }
  / Running .*[\/\\]deps[\/\\]/ { sub(/^.* Running /, ""); begin($0); next }
  / Doc-tests / { sub(/^.* Doc-tests /, ""); begin("documentation of " $0); next }
  # Frames.
  /^ +[0-9]+: / || /^ +at / || /^stack backtrace:/ || /^note: (Some details|run with)/ { next }
  # The standard harness has a section for each at its end, the harnesses of this project name it when all is said.
  /^---- .* stdout ----$/ { section = 1; lines = 0; printf "\n%s %s\n", $0, program; next }
  /^failures:$/ { section = 0 }
  section { if (++lines <= 60) print; else if (lines == 61) print "(and more)"; next }
  /^test .* \.\.\. (ok|FAILED)/ {
    said[++last] = $0
    if (/ \.\.\. FAILED/) failed = failed remembered(program)
    forget()
    next
  }
  /^failures: \[/ { printf "%s", failed; failed = ""; next }
  /^test result: / { ended = 1; forget(); next }
  { said[++last] = $0 }
  END { finish() }
' "$@"
