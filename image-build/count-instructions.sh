#!/usr/bin/env bash
# Counts the instructions that an ARM1176 executes for the program's work, under QEMU's user mode: exact for the program, without the
# kernel's. A Zero runs at 1 GHz and needs 1 to 2 clocks for one, so a million is 1 to 2 ms.
#
# Usage: image-build/count-instructions.sh [PROGRAM]                 a page load of the service (default: target/armv6/printernizer)
#        image-build/count-instructions.sh --benches [DIRECTORY]   a report, a file's pictures and figures, a megabyte of each cipher,
#                                     by the benches of build-release.sh --benches armv6 (default: target/armv6/benches)
#        image-build/count-instructions.sh --command PROGRAM WORDS...   any program for ARM
#
# Needs qemu-arm of the package qemu-user (the static one takes no plugins), gcc and curl.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
command -v qemu-arm >/dev/null || die "no qemu-arm: apt-get install qemu-user"
scratch=$(mktemp -d)
service=''
trap '[ -z "$service" ] || kill -KILL "$service" 2>/dev/null; rm -rf "$scratch"' EXIT
gcc -shared -fPIC -O1 -o "$scratch/count.so" "$root/image-build/count-instructions.c" || die "the plugin cannot be built"
export COUNT_FILE=$scratch/count
emulator=(qemu-arm -cpu arm1176 -plugin "$scratch/count.so")

if [ "${1:-}" = --command ]; then
  shift
  limited 600 "${emulator[@]}" "$@"
  say "$(cat "$scratch/count") instructions: $*"
  exit
fi

if [ "${1:-}" = --benches ]; then
  benches=${2:-$root/target/armv6/benches}
  [ -x "$benches/crypto" ] || die "no benches in $benches: image-build/build-release.sh --benches armv6"
  # count BENCH WORDS...: the instructions of one run
  count() {
    local bench=$1
    shift
    limited 600 "${emulator[@]}" "$benches/$bench" "$@" >"$scratch/said" || die "$bench $* failed, see above"
    cat "$scratch/count"
  }
  # cost WHAT MORE LESS TIMES: what one of so many costs, by which the two runs differ
  cost() {
    awk -v what="$1" -v one="$((($2 - $3) / $4))" 'BEGIN {
      printf "| %s | %.3f | %.2f to %.2f |\n", what, one / 1e6, one / 1e6, one / 5e5 }'
  }
  printf '| what | million instructions | ms at 1 GHz |\n|---|---|---|\n'
  cost 'a report of a Bambu printer: a change' "$(count report delta 2000)" "$(count report delta 1000)" 1000
  cost 'a report of a Bambu printer: everything' "$(count report full 2000)" "$(count report full 1000)" 1000
  nothing=$(count formats run nothing -)
  package=$scratch/package_5.gcode.3mf
  limited 600 "${emulator[@]}" "$benches/formats" make "$package" || die "no file to read can be made"
  size=$(stat -c %s "$package")
  cost "a file of $((size / 1000)) kB: figures" "$(count formats run package_5mb_figures "$package")" "$nothing" 1
  cost "the same file: figures and pictures" "$(count formats run package_5mb "$package")" "$nothing" 1
  cost "the same file: figures, pictures and the SHA-256 of each" "$(count formats run package_5mb_hashes "$package")" "$nothing" 1
  for kind in sha256 aes128gcm aes256gcm chacha20; do
    cost "1 MiB: $kind" "$(count crypto "$kind" 3)" "$(count crypto "$kind" 1)" 2
  done
  exit
fi

program=${1:-$root/target/armv6/printernizer}
readonly port=18473 loads=30 seconds=120
# serve TIMES: a service from its start to its end, with so many page loads; the whole takes the same time each
serve() {
  local asset started=$SECONDS
  rm -rf "$scratch/data"
  "${emulator[@]}" "$program" serve --data "$scratch/data" --listen "127.0.0.1:$port" >"$scratch/log" 2>&1 &
  service=$!
  until curl --silent --fail --output "$scratch/page" "http://127.0.0.1:$port/"; do
    [ $((SECONDS - started)) -lt 60 ] || die "the service does not answer: $(tail -n 3 "$scratch/log")"
    sleep 0.2
  done
  mapfile -t assets < <(grep -o '/assets/[A-Za-z0-9._/-]*' "$scratch/page" | sort -u)
  for ((load = 0; load < $1; load++)); do
    for asset in / "${assets[@]}" /api/v1/printers /api/v1/jobs; do
      curl --silent --fail --compressed --output /dev/null "http://127.0.0.1:$port$asset"
    done
    # The event stream: its head and snapshot.
    curl --silent --max-time 1 "http://127.0.0.1:$port/api/v1/events" 2>/dev/null | sed -n '/^data:/q' || true
  done
  while [ $((SECONDS - started)) -lt "$seconds" ]; do sleep 0.5; done
  kill -TERM "$service"
  wait "$service" || die "the service ended with an error: $(tail -n 3 "$scratch/log")"
  service=''
  cat "$scratch/count"
}
idle=$(serve 0)
busy=$(serve "$loads")
say "start, $seconds s without printers, stop: $((idle / 1000)) thousand instructions"
say "one page load (page, its files, printers, jobs, event stream): $(((busy - idle) / loads / 1000)) thousand instructions"
