#!/usr/bin/env bash
# Starts the service on the records of years (10 000 jobs, 10 000 bookings, 5 000 files, 500 spools) and measures how long it
# takes until it is ready, and what it holds then and after all lists were asked for.
#
# Usage: scripts/measure-records.sh [--data DIR] [--] PROGRAM...
#   --data DIR    a directory that was filled before; without it one is filled with `cargo bench --bench records`
#   PROGRAM...    the service, with whatever runs it: target/release/printernizer, or qemu-arm-static .../printernizer
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

data=''
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=${2:?}; shift 2 ;;
    --) shift; break ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || die "usage: measure-records.sh [--data DIR] [--] PROGRAM..."
ends_clean
if [ -z "$data" ]; then
  data=$scratch/data
  (cd "$root" && cargo bench --locked --profile dev --bench records -- "$data")
fi

now_ms() { date +%s%3N; }
get() { curl --silent --fail --max-time 30 --output /dev/null "http://127.0.0.1:$port/api/v1$1"; }
kib() { awk -v name="$1:" '$1 == name {print $2}' "/proc/$process/status"; }

port=$((20000 + RANDOM % 20000))
began=$(now_ms)
"$@" serve --data "$data" --listen "127.0.0.1:$port" 2>"$scratch/log" &
process=$!
until get /readiness; do
  kill -0 "$process" 2>/dev/null || { cat "$scratch/log" >&2; die "the service ended"; }
  [ $(($(now_ms) - began)) -lt 120000 ] || die "the service is not ready after two minutes"
done
say "ready after $(($(now_ms) - began)) ms, $(kib VmRSS) KiB resident"
for path in /jobs '/jobs?page=200&limit=50' '/jobs?job_status=failed' /jobs/statistics /files '/files?page=100' \
  '/files?order_by=filename&page=100' '/files?search=4321' /files/statistics /materials '/materials?page=10' /materials/stats \
  /materials/consumption/history /library/files /library/statistics /events/recent /health; do
  began=$(now_ms)
  get "$path" || die "$path is not answered"
  say "$(($(now_ms) - began)) ms for $path"
done
say "$(kib VmRSS) KiB resident afterwards, $(kib VmHWM) KiB at the most"
