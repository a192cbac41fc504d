#!/usr/bin/env bash
# Measures how many requests a second the API answers, and how long the slowest hundredth takes: with wrk, at 1, 8 and 32
# connections, on /health, /printers and /jobs, with 10 000 jobs and ten printers in the records. Memory stands beside it.
#
# Usage: scripts/measure-requests.sh [OPTIONS]
# Options:
#   --program FILE   the program (default: target/release/printernizer; build it with cargo build --release)
#   --jobs N         jobs in the records (default 10000, which is also the most that are kept)
#   --seconds N      how long each figure is measured (default 8)
#   --least N        end with exit code 1 where /printers at 8 connections has fewer requests a second than this
#
# Needs wrk and python3 (Debian: apt-get install wrk python3). wrk works on the same machine and takes its share of it: on two
# cores the figures are those of about one. Nothing but the loopback is used, and nothing is left behind.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

program=$root/target/release/printernizer jobs=10000 seconds=8 least=''
while [ $# -gt 0 ]; do
  case $1 in
    --program) program=${2:-} ;;
    --jobs | --seconds | --least)
      [[ ${2:-} =~ ^[0-9]{1,6}$ ]] || die "$1 needs a whole number"
      case $1 in
        --jobs) jobs=$2 ;;
        --seconds) seconds=$2 ;;
        --least) least=$2 ;;
      esac
      ;;
    *) die "usage: measure-requests.sh [--program FILE] [--jobs N] [--seconds N] [--least N]" ;;
  esac
  shift 2
done
command -v wrk >/dev/null || die "no wrk: apt-get install wrk"
[ -x "$program" ] || die "$program is not there: cargo build --release"

ends_clean

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$program" serve --listen "127.0.0.1:$port" --data "$scratch/data" >"$scratch/log" 2>&1 &
process=$!

say "entering ten printers and $jobs jobs"
limited 900 python3 - "$port" "$jobs" <<'PYTHON' || { tail -n 5 "$scratch/log" >&2; die "the records could not be made, see above"; }
import http.client
import json
import sys
import threading
import time

port, jobs = int(sys.argv[1]), int(sys.argv[2])
for _ in range(200):
    try:
        probe = http.client.HTTPConnection("127.0.0.1", port)
        probe.request("GET", "/api/v1/readiness")
        probe.getresponse().read()
        break
    except OSError:
        time.sleep(0.1)

def call(connection, method, path, body=None):
    text = None if body is None else json.dumps(body)
    connection.request(method, "/api/v1" + path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{method} {path}: {answer.status} {content.decode()}")
    return json.loads(content) if content else None

first = http.client.HTTPConnection("127.0.0.1", port)
printers = []
for number in range(10):
    # Nobody is there: what is measured is the API, not printers.
    way = {"ip_address": "127.0.0.1", "http_port": number + 1, "password": "none"}
    body = {"name": f"Printer {number}", "printer_type": "prusa_link", "is_enabled": False, "connection_config": way}
    printers.append(call(first, "POST", "/printers", body)["id"])

def enter(printer, count):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for number in range(count):
        name = f"Bracket for the shelf, part {number}"
        job = call(connection, "POST", "/jobs", {"printer_id": printer, "job_name": name, "filename": f"{name}.gcode.3mf"})
        call(connection, "POST", f"/jobs/{job['id']}/cancel")

threads = [threading.Thread(target=enter, args=(printer, jobs // 10)) for printer in printers]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("jobs in the records:", call(first, "GET", "/jobs?limit=1")["total_count"])
PYTHON

resident() { awk '/^VmRSS:/ {print $2}' "/proc/$process/status"; }
say "memory before: $(resident) KiB"
printf '%-12s %12s %12s %10s %10s %10s\n' address connections requests/s p50 p99 'RSS KiB'
printers_at_8=0
for path in /health /printers /jobs; do
  for connections in 1 8 32; do
    limited $((seconds + 60)) wrk --latency --threads 1 --connections "$connections" --duration "${seconds}s" --timeout 30s \
      "http://127.0.0.1:$port/api/v1$path" >"$scratch/wrk" || { cat "$scratch/wrk" >&2; die "wrk failed on $path, see above"; }
    if grep -q 'Non-2xx' "$scratch/wrk"; then
      cat "$scratch/wrk" >&2
      die "$path was not always answered with 200, see above"
    fi
    rate=$(awk '/^Requests\/sec:/ {printf "%d", $2}' "$scratch/wrk")
    p50=$(awk '$1 == "50%" {print $2}' "$scratch/wrk")
    p99=$(awk '$1 == "99%" {print $2}' "$scratch/wrk")
    printf '%-12s %12s %12s %10s %10s %10s\n' "$path" "$connections" "$rate" "$p50" "$p99" "$(resident)"
    if [ "$path" = /printers ] && [ "$connections" = 8 ]; then printers_at_8=$rate; fi
  done
done
say "memory ever: $(awk '/^VmHWM:/ {print $2}' "/proc/$process/status") KiB, threads: $(awk '/^Threads:/ {print $2}' "/proc/$process/status")"
if [ -n "$least" ] && [ "$printers_at_8" -lt "$least" ]; then
  die "/printers at 8 connections: $printers_at_8 requests a second, fewer than $least"
fi
