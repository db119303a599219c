#!/usr/bin/env bash
# Compares the table of the example `catalog`, row by row, with what find, wc and sha256sum say of the tree.
#
#   scripts/check-catalog.sh TREE DATABASE
#
# Names in the tree must have no tab and no newline, and its files must be text or empty.
set -euo pipefail
tree=$1 database=$2
export LC_ALL=C.UTF-8

if ! command -v sqlite3 >/dev/null; then
  sudo=; [ "$(id -u)" = 0 ] || sudo='sudo -n'
  $sudo apt-get update >&2
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends sqlite3 >&2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ "$(sqlite3 "$database" 'PRAGMA integrity_check')" = ok ]
sqlite3 -separator $'\t' "$database" \
  'SELECT path, size, sha256, ifnull(lines, 0), ifnull(words, 0), ifnull(error, "") FROM files' | sort >"$work/table"
(
  cd "$tree"
  find . -type f -printf '%P\t%s\n' | sort >"$work/sizes"
  cut -f 1 "$work/sizes" | tr '\n' '\0' >"$work/names"
  xargs -0 sha256sum -- <"$work/names" | cut -d ' ' -f 1 >"$work/digests"
  while IFS= read -r -d '' name; do wc -lw <"$name"; done <"$work/names" | awk '{ print $1 "\t" $2 "\t" }' >"$work/counts"
)
paste "$work/sizes" "$work/digests" "$work/counts" | sort >"$work/tree"
if ! diff "$work/table" "$work/tree" >"$work/differences"; then
  echo "the table is not as the tree is (< table, > tree):" >&2
  head -n 20 "$work/differences" >&2
  exit 1
fi
echo "every row is as find, wc and sha256sum say: $(wc -l <"$work/table") of them"
