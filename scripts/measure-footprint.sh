#!/usr/bin/env bash
# Measures what a running `printernizer` costs: memory, threads, processor time, bytes written, open files, wake-ups.
#
# Usage: scripts/measure-footprint.sh [OPTIONS] -- COMMAND...   starts the command and measures the printernizer below it
#        scripts/measure-footprint.sh [OPTIONS] --pid PID       measures a process that runs already
# Options:
#   --seconds N       how long to measure, one sample a second (default 60)
#   --settle N        how long to wait before the first sample (default 5), so that start-up is not counted
#   --max-rss KIB     end with exit code 1 when VmHWM (the highest resident size ever) is above this
#   --max-threads N   end with exit code 1 when there ever were more threads than this
#
# Example: cargo build --release --workspace && \
#   scripts/measure-footprint.sh --seconds 60 -- cargo run --release -p demo -- --printers 8 --rate 1 --seconds 75
#
# Everything is read from /proc, which also contains what other tools would round away; see benches/README.md for the meaning.
# It measures the process and the processes it started; the figures of helpers such as the simulator are not in them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

usage() { die "usage: measure-footprint.sh [--seconds N] [--settle N] [--max-rss KIB] [--max-threads N] (--pid PID | -- COMMAND...)"; }

seconds=60 settle=5 pid='' max_rss='' max_threads=''
command=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds | --settle | --pid | --max-rss | --max-threads)
      [[ ${2:-} =~ ^[0-9]{1,9}$ ]] || die "$1 needs a whole number"
      case $1 in
        --seconds) seconds=$2 ;;
        --settle) settle=$2 ;;
        --pid) pid=$2 ;;
        --max-rss) max_rss=$2 ;;
        --max-threads) max_threads=$2 ;;
      esac
      shift 2
      ;;
    --)
      shift
      command=("$@")
      break
      ;;
    *) usage ;;
  esac
done
[ "$seconds" -ge 2 ] || die "--seconds must be at least 2"
if [ -n "$pid" ]; then [ "${#command[@]}" -eq 0 ] || usage; else [ "${#command[@]}" -gt 0 ] || usage; fi

# How long a command may take until its printernizer runs: a cold release build of everything fits in.
readonly start_seconds_max=900
scratch=$(mktemp -d)
samples=$scratch/samples
started_pid=''
cleanup() {
  # Only what this script started, and politely first: the command then ends its own children.
  if [ -n "$started_pid" ] && kill -0 "$started_pid" 2>/dev/null; then
    kill -TERM -- "-$started_pid" 2>/dev/null || true
    for _ in {1..50}; do
      kill -0 -- "-$started_pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$started_pid" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Prints "pid parent" of every process; the name in /proc/PID/stat may contain blanks and brackets, so cut behind the last one.
processes() {
  local file line
  for file in /proc/[0-9]*/stat; do
    { read -r line <"$file"; } 2>/dev/null || continue
    # shellcheck disable=SC2086 # fields after the name are plain numbers
    set -- ${line##*) }
    printf '%s %s\n' "${file//[^0-9]/}" "$2"
  done
}

# Prints the given process and all its descendants.
family() {
  processes | awk -v top="$1" '
    { parent[$1] = $2 }
    END {
      print top
      for (p in parent) { # bounded: a chain of parents is no longer than the number of processes
        q = p; n = 0
        while (q in parent && q != top && n++ < 1000) q = parent[q]
        if (q == top && p != top) print p
      }
    }'
}

find_printernizer() {
  local candidate
  for candidate in $(family "$1"); do
    if [ "$(cat "/proc/$candidate/comm" 2>/dev/null)" = printernizer ]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  return 1
}

if [ "${#command[@]}" -gt 0 ]; then
  say "starting: ${command[*]}"
  set -m # its own process group, so that cleanup reaches everything below it
  "${command[@]}" </dev/null >"$scratch/command.log" 2>&1 &
  started_pid=$!
  set +m
  limit=$((SECONDS + start_seconds_max))
  until pid=$(find_printernizer "$started_pid"); do
    if ! kill -0 "$started_pid" 2>/dev/null || [ "$SECONDS" -gt "$limit" ]; then
      tail -n 20 "$scratch/command.log" >&2
      die "no process named printernizer appeared below '${command[*]}', see its last lines above"
    fi
    sleep 0.2
  done
fi
[ -r "/proc/$pid/io" ] || die "process $pid does not exist, or is another user's: its /proc/$pid/io cannot be read"
say "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline"), first sample after $settle s, then $seconds s"
sleep "$settle"

# One line: time, rss, hwm, anon, swap, threads, cpu ticks, bytes written, descriptors, wake-ups, processes.
# The sizes are sums over the process and its descendants. VmHWM of several processes added up is an upper bound.
sample() {
  local member members
  members=$(family "$pid")
  for member in $members; do
    local directory=/proc/$member
    {
      awk '/^(VmRSS|VmHWM|RssAnon|VmSwap|Threads):/ { print $1, $2 }' "$directory/status"
      sed 's/^.*) //' "$directory/stat" | awk '{ print "ticks:", $12 + $13 }'
      awk '/^write_bytes:/' "$directory/io"
      set -- "$directory"/fd/*
      printf 'descriptors: %d\nprocesses: 1\n' $#
      awk '/^(non)?voluntary_ctxt_switches:/ { n += $2 } END { print "switches:", n + 0 }' "$directory"/task/*/status
    } 2>/dev/null || true # a descendant may end between two reads
  done | awk -v now="$EPOCHREALTIME" '
    { sum[$1] += $2 }
    END {
      print now, sum["VmRSS:"] + 0, sum["VmHWM:"] + 0, sum["RssAnon:"] + 0, sum["VmSwap:"] + 0, sum["Threads:"] + 0,
        sum["ticks:"] + 0, sum["write_bytes:"] + 0, sum["descriptors:"] + 0, sum["switches:"] + 0, sum["processes:"] + 0
    }'
}

begin=$SECONDS
while :; do
  kill -0 "$pid" 2>/dev/null || break
  sample >>"$samples"
  [ $((SECONDS - begin)) -lt "$seconds" ] || break
  sleep 1
done
kill -0 "$pid" 2>/dev/null || { [ -z "$started_pid" ] || tail -n 20 "$scratch/command.log" >&2; die "process $pid ended after $((SECONDS - begin)) s of $seconds; let the command run longer"; }

LC_ALL=C awk -v ticks_per_second="$(getconf CLK_TCK)" -v max_rss="$max_rss" -v max_threads="$max_threads" '
  { n++; for (i = 1; i <= 11; i++) value[i, n] = $i }
  function row(name, column,   i, j, t, v) {
    for (i = 1; i <= n; i++) v[i] = value[column, i]
    for (i = 2; i <= n; i++) { # insertion sort: a few thousand samples at most
      t = v[i]
      for (j = i - 1; j >= 1 && v[j] > t; j--) v[j + 1] = v[j]
      v[j + 1] = t
    }
    printf "%-34s %12d %12d %12d\n", name, v[1], v[int((n + 1) / 2)], v[n]
    return v[n]
  }
  END {
    if (n < 2) { print "too few samples" > "/dev/stderr"; exit 1 }
    elapsed = value[1, n] - value[1, 1]
    printf "\n%-34s %12s %12s %12s\n", "", "min", "median", "max"
    row("resident size (VmRSS), KiB", 2)
    highest = row("highest resident (VmHWM), KiB", 3)
    row("of it anonymous (RssAnon), KiB", 4)
    row("swapped out (VmSwap), KiB", 5)
    threads = row("threads", 6)
    row("open descriptors", 9)
    row("processes", 11)
    printf "\nover %.1f s, %d samples:\n", elapsed, n
    printf "%-34s %12.3f\n", "CPU seconds a minute", (value[7, n] - value[7, 1]) / ticks_per_second / elapsed * 60
    printf "%-34s %12.0f\n", "bytes written an hour", (value[8, n] - value[8, 1]) / elapsed * 3600
    printf "%-34s %12.1f\n", "context switches a second", (value[10, n] - value[10, 1]) / elapsed
    if (max_rss != "" && highest > max_rss + 0) { printf "FAILED: %d KiB resident, at most %d allowed\n", highest, max_rss; bad = 1 }
    if (max_threads != "" && threads > max_threads + 0) { printf "FAILED: %d threads, at most %d allowed\n", threads, max_threads; bad = 1 }
    exit bad
  }' "$samples" || die "the measurement is not within its limits"
