#!/usr/bin/env bash
# Builds for x86_64-pc-windows-gnu on Debian 12 (amd64) and runs the result under Wine.
# Idempotent: installs what is missing, keeps std, dependencies, and the Wine prefix between runs.
#
#   scripts/windows.sh [setup|env|check|clippy|build|test|nextest|run|stop] [cargo arguments...]
#       setup    packages, prefix, shim, warm Wine server; nothing is built
#       env      the same, then print the exports (use: eval "$(scripts/windows.sh env)")
#       check / clippy / build / test / nextest    the cargo command, for the Windows target
#       run      run a Windows program: scripts/windows.sh run target/.../foo.exe args...
#       stop     end the Wine server of this prefix, and every program in it
#
#   PROCESSION_WINDOWS_HOME      prefix and shim        (default ~/.cache/procession-windows)
#   CARGO_TARGET_DIR  build output           (default $PROCESSION_WINDOWS_HOME/target; keep it: it holds std)
#   PROCESSION_WINDOWS_TIMEOUT   seconds per test binary (default 600)
set -euo pipefail

cmd=${1:-test}; [ $# -gt 0 ] && shift
home=${PROCESSION_WINDOWS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/procession-windows}
target=x86_64-pc-windows-gnu
wine=/usr/lib/wine/wine64          # the loader itself: /usr/bin/wine is a wrapper that only adds a wine32 hint
server=/usr/lib/wine/wineserver64
say() { printf 'windows: %s\n' "$*" >&2; }

export WINEPREFIX=$home/prefix
export WINEARCH=win64
export WINELOADER=$wine
export WINEDEBUG=${WINEDEBUG:--all}
# No Mono, no Gecko, no desktop files; no debugger, which would end a crashed process in its own name.
export WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe,winedbg.exe="
unset DISPLAY WAYLAND_DISPLAY
export LC_ALL=C.UTF-8                          # or no file could have a name outside ASCII
# Debian's own 1.96 toolchain has std's source with its vendored dependencies; rustup's has not.
export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export RUSTC_BOOTSTRAP=1                       # lets a stable cargo take -Zbuild-std
export CARGO_UNSTABLE_BUILD_STD=std,panic_unwind
export CARGO_BUILD_TARGET=$target
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$home/target}
# Debian's Wine has no preloader: its loader lies at 0x7d000000, and Linux begins the heap of a process at a random place up to
# 1 GiB behind it. Once in 7,500 starts that is where Wine must have a page, 0x7ffe0000, and the process ends with 1 and says
# nothing; who has started it hears ERROR_INTERNAL_ERROR. So nothing is at a random place, or where that cannot be had (a
# container may forbid it) the heap is smaller, which makes it rarer.
fixed=(setarch -R)
"${fixed[@]}" true 2>/dev/null || { fixed=(); export GLIBC_TUNABLES=glibc.malloc.top_pad=0; }
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER="${fixed[*]} $(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/wine-run.sh ${PROCESSION_WINDOWS_TIMEOUT:-600} $wine"
export CARGO_PROFILE_DEV_DEBUG=${CARGO_PROFILE_DEV_DEBUG:-line-tables-only}
unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER || true
env_names=(WINEPREFIX WINEARCH WINELOADER WINEDEBUG WINEDLLOVERRIDES LC_ALL PATH RUSTC RUSTDOC RUSTC_BOOTSTRAP
  CARGO_UNSTABLE_BUILD_STD CARGO_BUILD_TARGET CARGO_TARGET_DIR
  CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER CARGO_PROFILE_DEV_DEBUG ${GLIBC_TUNABLES:+GLIBC_TUNABLES})

# The rustc of the Debian release is older than what the workspace needs; the security archive has a newer one, which is
# not known where the package lists are old.
least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../Cargo.toml")
installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
is_new_enough() { dpkg --compare-versions "$(dpkg-query -W -f='${Version}' "$1" 2>/dev/null)" ge "$least"; }

packages() {
  local rust=(rustc-web cargo-web rust-web-src rust-web-clippy) rest=(gcc-mingw-w64-x86-64 wine64 wine) miss=() p
  for p in "${rust[@]}"; do installed "$p" && is_new_enough "$p" || miss+=("$p"); done
  for p in "${rest[@]}"; do installed "$p" || miss+=("$p"); done
  [ ${#miss[@]} -eq 0 ] && return
  say "installing ${miss[*]}"
  local sudo=; [ "$(id -u)" = 0 ] || sudo='sudo -n'
  $sudo apt-get update >&2
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${miss[@]}" >&2
  for p in "${rust[@]}"; do
    is_new_enough "$p" || { say "$p is older than the $least that Cargo.toml asks for, and this Debian has no newer one"; exit 1; }
  done
}

# Nothing started here may hold our stdout: the Wine services outlive us, and whoever reads
# our output through a pipe would otherwise wait for them.
detached() { "${fixed[@]}" setsid -w "$@" </dev/null >/dev/null 2>&1; }

prefix() {
  mkdir -p "$home"
  exec 9>"$home/lock"; flock 9
  if [ ! -e "$home/prefix.ready" ]; then
    say "creating the Wine prefix $WINEPREFIX"
    rm -rf "$WINEPREFIX"; mkdir -p "$WINEPREFIX"
    detached timeout -k 5 180 "$wine" wineboot.exe -i || { say 'wineboot failed'; exit 1; }
    detached timeout 60 "$server" -w || true
    [ -d "$WINEPREFIX/drive_c/windows/system32" ] || { say 'the prefix is incomplete'; exit 1; }
    touch "$home/prefix.ready"
  fi
  # Wine 8 has no bcryptprimitives.dll, from which Rust's std imports ProcessPrng.
  local dll=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
  if [ ! -s "$dll" ]; then
    say 'installing the bcryptprimitives.dll shim'
    cat >"$home/bcryptprimitives.c" <<'C'
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return RtlGenRandom(p, (ULONG)n); }
C
    x86_64-w64-mingw32-gcc -shared -O1 -s -o "$home/bcryptprimitives.tmp" "$home/bcryptprimitives.c" -ladvapi32
    mv "$home/bcryptprimitives.tmp" "$dll"
  fi
  flock -u 9; exec 9>&-
}

warm() {   # one Wine server for all tests; it leaves by itself 120 s after the last program
  detached "$server" -p120 || true
  detached timeout -k 5 60 "$wine" cmd.exe /c exit 0 || { say 'Wine does not start'; exit 1; }
}

# A program that is killed while it starts another leaves a Unix process that waits for the Wine server, which has never
# heard of it or has forgotten it. None of ours runs in there, but it keeps open what it has inherited.
half_made() {
  local environment pid ended=0
  for environment in /proc/[0-9]*/environ; do
    pid=${environment#/proc/}; pid=${pid%/environ}
    [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$(readlink -f "$wine")" ] || continue
    tr '\0' '\n' <"$environment" 2>/dev/null | grep -qxF "WINEPREFIX=$WINEPREFIX" || continue
    kill -9 "$pid" 2>/dev/null && ended=$((ended + 1))
  done
  [ "$ended" = 0 ] || say "ended $ended half-made processes that the Wine server did not know"
}

if [ "$cmd" = stop ]; then
  "$server" -k || true
  timeout 10 "$server" -w || true
  half_made
  exit 0
fi
packages; prefix; warm
case $cmd in
  setup) say "ready: $WINEPREFIX, at ${fixed:+no }random addresses" ;;
  env) for n in "${env_names[@]}"; do printf 'export %s=%q\n' "$n" "${!n}"; done; echo 'unset DISPLAY WAYLAND_DISPLAY' ;;
  run) exec "${fixed[@]}" timeout -k 5 "${PROCESSION_WINDOWS_TIMEOUT:-600}" "$wine" "$@" ;;
  # With a terminal as stdin or stdout, Wine opens a console on it and writes escape codes; for clean text, pipe our output.
  nextest) exec /usr/bin/cargo nextest run "$@" </dev/null ;;
  check|clippy|build|test) exec /usr/bin/cargo "$cmd" "$@" </dev/null ;;
  *) say "unknown command $cmd"; exit 2 ;;
esac
