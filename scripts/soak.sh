#!/usr/bin/env bash
# Lets the service run for a while with eight Bambu Lab and two Prusa printers that print all the time and meet a random
# fault every few seconds, and watches what the process holds: memory, descriptors and threads must not grow.
#
# Usage: scripts/soak.sh [--minutes N] [--every S] [--seed N] [--profile release|debug]
#   --minutes N   how long (default 20)
#   --every S     seconds between two faults (default 5); each lasts until the next but one
#   --seed N      the seed of the faults (default 1)
#   --profile P   which build is run (default release); it has to be there: cargo build --release --workspace
#
# Prints a line every half minute: seconds, KiB resident, descriptors, threads, faults so far. Ends with code 1 when the last
# quarter holds more than the second one (2 MiB, 8 descriptors, 4 threads), or when a task panicked.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

minutes=20 every=5 seed=1 profile=release
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=${2:?} ;;
    --every) every=${2:?} ;;
    --seed) seed=${2:?} ;;
    --profile) profile=${2:?} ;;
    *) die "usage: soak.sh [--minutes N] [--every S] [--seed N] [--profile release|debug]" ;;
  esac
  shift 2
done
RANDOM=$seed
bin=$root/target/$profile
for program in simulator printernizer; do
  [ -x "$bin/$program" ] || die "$bin/$program is missing: cargo build --workspace, with --release for the profile release"
done

scratch=$(mktemp -d)
service='' simulator=''
cleanup() {
  local pid
  for pid in $service $simulator; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in $service $simulator; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# post HOST:PORT PATH JSON; prints the answer's status line.
post() {
  local host=${1%:*} port=${1##*:} line=''
  exec 3<>"/dev/tcp/$host/$port" || return 1
  printf 'POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$2" "$(printf '%s' "$3" | wc -c)" "$3" >&3
  IFS= read -r -t 20 line <&3 || true
  exec 3<&- 3>&-
  printf '%s\n' "${line%$'\r'}"
}

get() {
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
  timeout 20 cat <&3 || true
  exec 3<&- 3>&-
}

# field NAME JSON: the value of a field of a flat object.
field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" <<<"$2"; }

printers=()
for model in p1s a1 a1_mini x1c p1s a1 x1c p1s; do printers+=(--printer "$model"); done
for model in mk4 mini; do printers+=(--printer "$model"); done
"$bin/simulator" "${printers[@]}" >"$scratch/simulator" 2>"$scratch/simulator.log" &
simulator=$!
for _ in {1..600}; do
  [ -s "$scratch/simulator" ] && break
  kill -0 "$simulator" 2>/dev/null || die "the simulator has ended: $(tail -n 3 "$scratch/simulator.log")"
  sleep 0.1
done
described=$(head -n 1 "$scratch/simulator")
control=$(sed -n 's/.*"control":"http:\/\/\([^"]*\)".*/\1/p' <<<"$described")
mapfile -t list < <(sed 's/.*"printers":\[//; s/\],"control".*//; s/},{/}\n{/g' <<<"$described")
[ "${#list[@]}" -eq 10 ] || die "ten printers were asked for: $described"

port=$((20000 + RANDOM % 20000))
PRINTERNIZER_NETWORK_FIND_PRINTERS=false "$bin/printernizer" serve --listen "127.0.0.1:$port" --data "$scratch/data" 2>"$scratch/service.log" &
service=$!
for _ in {1..600}; do
  get "$port" /api/v1/readiness 2>/dev/null | grep -q ' 200 ' && break
  kill -0 "$service" 2>/dev/null || die "the service has ended: $(tail -n 3 "$scratch/service.log")"
  sleep 0.1
done

serials=() kinds=()
for one in "${list[@]}"; do
  kind=$(field kind "$one") serial=$(field serial "$one")
  serials+=("$serial") kinds+=("$kind")
  way="\"ip_address\":\"127.0.0.1\""
  if [ "$kind" = bambu_lab ]; then
    way+=",\"serial_number\":\"$serial\",\"mqtt_port\":$(field port "$one"),\"ftps_port\":$(field ftps_port "$one"),\"access_code\":\"$(field access_code "$one")\""
  else
    way+=",\"http_port\":$(field port "$one"),\"password\":\"$(field password "$one")\""
  fi
  answer=$(post "127.0.0.1:$port" /api/v1/printers "{\"name\":\"$serial\",\"printer_type\":\"$kind\",\"connection_config\":{$way}}")
  [[ $answer == *' 201 '* ]] || die "$serial was not taken: $answer"
done

bambu_faults=(
  '{"command":"drop"}'
  '{"command":"garbage","kind":"large300k"}'
  '{"command":"garbage","kind":"wrong_types"}'
  '{"command":"raw_bytes","bytes":[255,255,255,255]}'
  '{"command":"set_faults","faults":{"silence":"dead"}}'
  '{"command":"set_faults","faults":{"silence":"mute"}}'
  '{"command":"set_faults","faults":{"tcp":"hold"}}'
  '{"command":"set_faults","faults":{"refuse_connections":true,"ftps":{"refuse_connections":true}}}'
  '{"command":"set_faults","faults":{"ftps":{"transfers":[{"mishap":"cut","at":20000}]}}}'
  '{"command":"set_faults","faults":{"ftps":{"hangs_at":"SIZE"}}}'
)
prusa_faults=(
  '{"command":"drop"}'
  '{"command":"reboot","job":"resumed"}'
  '{"command":"set_faults","faults":{"silence":"mute"}}'
  '{"command":"set_faults","faults":{"silence":"refuse"}}'
  '{"command":"set_faults","faults":{"rules":[{"fault":"hang"}]}}'
  '{"command":"set_faults","faults":{"rules":[{"fault":{"status":500}}]}}'
  '{"command":"set_faults","faults":{"rules":[{"at":"status","fault":{"garbage":"large"}}]}}'
  '{"command":"set_faults","faults":{"rules":[{"at":"download","fault":{"cut":20000},"times":1}]}}'
)

order() { post "$control" "/printers/$1/command" "$2" >/dev/null || true; }

print_something() {
  local index=$1 name="Soak $2"
  if [ "${kinds[index]}" = bambu_lab ]; then
    order "${serials[index]}" "{\"command\":\"start_print\",\"plan\":{\"name\":\"$name\",\"layers\":10,\"print_seconds\":60,\"calibration_seconds\":10}}"
  else
    order "${serials[index]}" "{\"command\":\"add_file\",\"file\":{\"path\":\"$name.gcode\",\"recipe\":{\"size\":100000}}}"
    order "${serials[index]}" "{\"command\":\"start_print\",\"path\":\"$name.gcode\",\"print_seconds\":60}"
  fi
}

held() {
  local rss threads
  rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$service/status")
  threads=$(sed -n 's/^Threads:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$service/status")
  printf '%s %s %s' "$rss" "$(find "/proc/$service/fd" -mindepth 1 2>/dev/null | wc -l)" "$threads"
}

printf 'seconds rss_kib descriptors threads faults\n'
total=$((minutes * 60)) faults=0 round=0 next_line=0 struck=()
SECONDS=0
while [ "$SECONDS" -lt "$total" ]; do
  kill -0 "$service" 2>/dev/null || die "the service has ended: $(tail -n 5 "$scratch/service.log")"
  round=$((round + 1))
  # Refused while a print is on: that is how they take turns.
  for index in "${!serials[@]}"; do print_something "$index" "$round"; done
  index=$((RANDOM % ${#serials[@]}))
  if [ "${kinds[index]}" = bambu_lab ]; then
    fault=${bambu_faults[RANDOM % ${#bambu_faults[@]}]}
  else
    fault=${prusa_faults[RANDOM % ${#prusa_faults[@]}]}
  fi
  order "${serials[index]}" "$fault"
  faults=$((faults + 1))
  struck+=("${serials[index]}")
  if [ "${#struck[@]}" -gt 2 ]; then
    order "${struck[0]}" '{"command":"clear_faults"}'
    struck=("${struck[@]:1}")
  fi
  if [ "$SECONDS" -ge "$next_line" ]; then
    line="$SECONDS $(held) $faults"
    printf '%s\n' "$line" | tee -a "$scratch/samples"
    next_line=$((next_line + 30))
  fi
  sleep "$every"
done

panics=$(get "$port" /api/v1/health | grep -o '"panics":[0-9]*' | grep -vc ':0$' || true)
[ "$panics" -eq 0 ] || die "tasks have panicked: see /api/v1/health"
awk '
  { rss[NR] = $2; fds[NR] = $3; threads[NR] = $4 }
  function mean(list, from, to,   sum, at) { for (at = from; at <= to; at++) sum += list[at]; return sum / (to - from + 1) }
  END {
    if (NR < 8) { print "too short to compare"; exit 0 }
    a = int(NR / 4) + 1; b = int(NR / 2); c = int(NR * 3 / 4) + 1
    r = mean(rss, c, NR) - mean(rss, a, b); f = mean(fds, c, NR) - mean(fds, a, b); t = mean(threads, c, NR) - mean(threads, a, b)
    printf "last quarter against the second: %+d KiB, %+.1f descriptors, %+.1f threads\n", r, f, t
    exit (r > 2048 || f > 8 || t > 4)
  }' "$scratch/samples" || die "the process grows"
