#!/usr/bin/env bash
# Tries the Debian package and the units on a small Debian of their own: first as in a chroot without a running systemd
# (install, upgrade, remove, purge), then booted with systemd as process 1 in a container (systemd-nspawn): readiness, port 80,
# password, watchdog, restarts, power. Last under OpenRC.
#
# Usage: packaging/test-packages.sh [PROGRAM]
#   PROGRAM   what is packed (default: target/debug/printernizer, which must be built); for this machine's processor
# Environment:
#   PRINTERNIZER_SUITE   the Debian release of the container (default: this machine's)
#
# Needs root, mmdebstrap, systemd-nspawn (package systemd-container), dpkg, curl, python3. The container has no network but its
# own loopback. It takes about a minute and a half, most of it for the tree, which is kept in target/packages-test.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

program=${1:-$root/target/debug/printernizer}
suite=${PRINTERNIZER_SUITE:-$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-bookworm}")}
[ "$(id -u)" -eq 0 ] || die "run as root: it makes a tree with other users' files and boots it"
[ -x "$program" ] || die "$program does not exist; run: cargo build"
for tool in strip mmdebstrap systemd-nspawn nsenter dpkg-deb curl python3 systemd-analyze; do
  command -v "$tool" >/dev/null || die "no $tool: apt-get install binutils mmdebstrap systemd-container curl python3 systemd"
done
case $(dpkg --print-architecture) in
  amd64 | arm64) architecture=$(dpkg --print-architecture) ;;
  *) die "packages are tried on amd64 and arm64" ;;
esac

# Every wait for something to happen in the container ends here; nothing depends on how fast it is.
readonly patience=120
work=$root/target/packages-test
mkdir -p "$work"
scratch=$(mktemp -d "$work/run.XXXXXX")
tree=$scratch/tree
container='' leader=''

cleanup() {
  # Only the container that this script started.
  if [ -n "$container" ] && kill -0 "$container" 2>/dev/null; then
    kill -TERM "$container" 2>/dev/null || true
    for _ in {1..100}; do
      kill -0 "$container" 2>/dev/null || break
      sleep 0.1
    done
    [ -z "$leader" ] || kill -KILL "$leader" 2>/dev/null || true
    kill -KILL "$container" 2>/dev/null || true
  fi
  rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
  printf '%s: FAILED: %s\n' "$(basename "$0")" "$*" >&2
  if [ -n "$leader" ]; then inside journalctl --no-pager --lines=60 --output=short-monotonic >&2 || true; fi
  exit 1
}
# check WHAT COMMAND...: the command must succeed
check() {
  local what=$1
  shift
  "$@" || fail "$what"
  printf '  ok: %s\n' "$what"
}
refuse() {
  local what=$1
  shift
  ! "$@" || fail "$what"
  printf '  ok: %s\n' "$what"
}
# within WHAT COMMAND...: the command must succeed before patience ends
within() {
  local what=$1 end=$((SECONDS + patience))
  shift
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -lt "$end" ] || fail "$what (not within $patience s)"
    sleep 0.2
  done
  printf '  ok: %s\n' "$what"
}
in_tree() { limited 120 chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }

# --- the units by themselves ----------------------------------------------------------------------------------------------------

section 'units'
mkdir "$scratch/units"
cp "$root"/systemd/*.service "$root"/systemd/*.socket "$scratch/units/"
# The program need not be installed on this machine.
sed -i 's#/usr/bin/printernizer#/bin/true#' "$scratch"/units/*.service
systemd-analyze verify "$scratch"/units/*.service "$scratch"/units/*.socket >"$scratch/verify" 2>&1 || true
if grep "$scratch/units" "$scratch/verify" >&2; then fail 'systemd-analyze verify complains, see above'; fi
printf '  ok: systemd-analyze verify is silent about them (%s)\n' "$(systemctl --version | head -n 1)"
for unit in "$root"/systemd/*.service; do
  level=$(systemd-analyze security --offline=yes --no-pager "$unit" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
  check "$(basename "$unit"): exposure $level, at most 1.5" awk -v level="$level" 'BEGIN { exit !(level != "" && level <= 1.5) }'
done

# --- the tree -------------------------------------------------------------------------------------------------------------------

section 'tree'
base=$work/base-$suite-$architecture.tar
if [ ! -f "$base" ]; then
  say "making a Debian $suite of its own"
  limited 600 mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,openrc,procps \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$scratch/base.tar" || die "mmdebstrap failed, see above"
  mv "$scratch/base.tar" "$base"
fi
mkdir "$tree"
tar -x --numeric-owner -C "$tree" -f "$base"

strip --strip-debug -o "$scratch/program" "$program"
export PRINTERNIZER_PACKAGE_COMPRESSION=none # a debug program would take xz most of the test's time
PRINTERNIZER_VERSION=0.0.1 "$root/packaging/build-deb.sh" "$architecture" "$scratch/program" "$scratch/packages"
PRINTERNIZER_VERSION=0.0.2 "$root/packaging/build-deb.sh" "$architecture" "$scratch/program" "$scratch/packages"
mkdir "$scratch/again"
PRINTERNIZER_VERSION=0.0.2 "$root/packaging/build-deb.sh" "$architecture" "$scratch/program" "$scratch/again" >/dev/null
cmp "$scratch/packages/printernizer_0.0.2_$architecture.deb" "$scratch/again/printernizer_0.0.2_$architecture.deb" \
  || fail 'the same input gives another package'
cp "$scratch"/packages/*.deb "$tree/root/"

# --- without a running systemd ----------------------------------------------------------------------------------------------------

section 'install, upgrade, remove, purge'
first=/root/printernizer_0.0.1_$architecture.deb second=/root/printernizer_0.0.2_$architecture.deb
version() { in_tree dpkg-query --show --showformat='${Version} ${db:Status-Abbrev}' printernizer; }
enabled() { [ -h "$tree/etc/systemd/system/$2.wants/$1" ]; }

in_tree dpkg --install "$first" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'installing'; }
check 'installed' [ "$(version)" = '0.0.1 ii ' ]
check 'it has a user that nobody can log in as' grep -q '^printernizer:.*:/usr/sbin/nologin$' "$tree/etc/passwd"
check 'its configuration is for root and the service only' [ "$(in_tree stat -c '%U:%G %a' /etc/printernizer/printernizer.toml)" = 'root:printernizer 640' ]
check 'its configuration is a good one' in_tree printernizer check-config --config /etc/printernizer/printernizer.toml
check 'the service starts with the machine' enabled printernizer.service multi-user.target
check 'port 80 is opened with the machine' enabled printernizer.socket sockets.target
refuse 'power over the machine is off unless wanted' enabled printernizer-power.socket sockets.target
in_tree systemd-analyze verify /usr/lib/systemd/system/printernizer.service >"$scratch/verify" 2>&1 || true
refuse 'systemd-analyze verify is silent about the installed unit' grep -i printernizer "$scratch/verify"

printf '\n[log]\nlevel = "debug"\n' >>"$tree/etc/printernizer/printernizer.toml"
mkdir -p "$tree/var/lib/printernizer"
printf 'precious' >"$tree/var/lib/printernizer/keep-me"
in_tree systemctl disable printernizer.socket >/dev/null 2>&1
in_tree dpkg --install "$second" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'upgrading'; }
check 'upgraded' [ "$(version)" = '0.0.2 ii ' ]
check 'the upgrade keeps the configuration' grep -q 'level = "debug"' "$tree/etc/printernizer/printernizer.toml"
check 'the upgrade keeps its rights' [ "$(in_tree stat -c '%U:%G %a' /etc/printernizer/printernizer.toml)" = 'root:printernizer 640' ]
check 'the upgrade keeps the data' [ "$(cat "$tree/var/lib/printernizer/keep-me")" = precious ]
refuse 'the upgrade leaves off what was switched off' enabled printernizer.socket sockets.target

in_tree dpkg --remove printernizer >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'removing'; }
check 'removed' [ "$(version)" = '0.0.2 rc ' ]
refuse 'the program is gone' [ -e "$tree/usr/bin/printernizer" ]
check 'removing keeps configuration and data' [ -f "$tree/etc/printernizer/printernizer.toml" -a -f "$tree/var/lib/printernizer/keep-me" ]
in_tree dpkg --install "$second" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'installing again'; }
check 'installed again, with the configuration as it was' grep -q 'level = "debug"' "$tree/etc/printernizer/printernizer.toml"
in_tree dpkg --purge printernizer >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'purging'; }
refuse 'purging takes configuration and data' [ -e "$tree/etc/printernizer" -o -e "$tree/var/lib/printernizer" ]
check 'purging leaves nothing enabled or masked' [ -z "$(find "$tree/etc/systemd/system" -name 'printernizer*')" ]

# --- under systemd ----------------------------------------------------------------------------------------------------------------

section 'systemd'
printf '%032x\n' 80 >"$tree/etc/machine-id"
# As process 1 in namespaces of its own; the machine's own service manager is not asked for anything.
systemd-nspawn --quiet --directory="$tree" --machine=printernizer-test --register=no --keep-unit --private-network --boot \
  --console=pipe --link-journal=no --resolv-conf=off --timezone=off \
  </dev/null >"$scratch/nspawn.log" 2>&1 &
container=$!
inside() { limited 60 nsenter --target "$leader" --all -- /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
# The container's network with this machine's programs.
fetch() { limited 30 nsenter --target "$leader" --net -- curl --silent --show-error --max-time 20 "$@"; }
status_of() { fetch --output /dev/null --write-out '%{http_code}' "$@"; }
property() { inside systemctl show --property="$2" --value "$1"; }
booted() {
  kill -0 "$container" || fail "the container ended: $(tail -n 5 "$scratch/nspawn.log")"
  leader=$(pgrep --parent "$container" | head -n 1)
  [ -n "$leader" ] && [ "$(inside systemctl is-system-running)" = running ]
}
within 'a Debian with systemd runs' booted
say "$(inside systemctl --version | head -n 1), $(inside systemctl show --property=Virtualization --value), $(stat --file-system --format=%T /sys/fs/cgroup)"

inside dpkg --install "$first" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'installing'; }
page_answers() { [ "$(status_of http://127.0.0.1/api/v1/health)" = 200 ]; }
active() { [ "$(property printernizer.service ActiveState)" = active ]; }
main_pid() { property printernizer.service MainPID; }
within 'the package starts the service, which says that it is ready' active
check 'its page is on port 80' page_answers
check 'and on IPv6' [ "$(status_of 'http://[::1]/')" = 200 ]
refuse 'the port of the configuration is not open besides' fetch --output /dev/null http://127.0.0.1:8080/
pid=$(main_pid)
check 'it is nobody special' [ "$(inside stat -c %U "/proc/$pid")" = printernizer ]
check 'it has no capability' [ "$(inside sed -n 's/^Cap\(Prm\|Eff\|Bnd\|Amb\):\t//p' "/proc/$pid/status" | sort -u)" = 0000000000000000 ]
check 'it can gain none, and its calls are filtered' [ "$(inside sed -n 's/^\(NoNewPrivs\|Seccomp\):\t//p' "/proc/$pid/status" | tr '\n' ' ')" = '1 2 ' ]
for limit in MemoryMax=100663296 TasksMax=64 LimitNOFILE=256 WatchdogUSec=1min Type=notify Restart=always; do
  check "in force: $limit" [ "$(property printernizer.service "${limit%%=*}")" = "${limit#*=}" ]
done
check 'its data is its own' [ "$(inside stat -c '%U %a' /var/lib/printernizer)" = 'printernizer 700' ]
# logged PRIORITY TEXT: whether the service wrote a line of that priority with the text in it
logged() {
  inside journalctl --quiet --no-pager --output=json --unit=printernizer.service >"$scratch/journal"
  python3 -c '
import json, sys
path, priority, text = sys.argv[1:]
lines = map(json.loads, open(path, encoding="utf-8"))
sys.exit(not any(text in str(line.get("MESSAGE")) and line.get("PRIORITY") == priority for line in lines))' "$scratch/journal" "$@"
}
check 'its lines carry their level' logged 6 'is up'
refuse 'the mark of the level is not in their text' grep -q '"MESSAGE":"<' "$scratch/journal"

section 'systemd: password'
anonymous() { [ "$(status_of -X POST -H 'Content-Type: application/json' -d '{}' http://127.0.0.1/api/v1/printers)" = "$1" ]; }
refuse 'without a password nobody is asked for one' anonymous 401
printf 'a long sentence\n' >"$tree/etc/printernizer/web.password"
chmod 600 "$tree/etc/printernizer/web.password"
inside systemctl restart printernizer.service || fail 'restarting'
check 'with a credential changes need it' anonymous 401
refuse 'the password is not in the journal' grep -q 'a long sentence' <(inside journalctl --no-pager)
rm "$tree/etc/printernizer/web.password"

section 'systemd: upgrade, faults and restarts'
inside dpkg --install "$second" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'upgrading'; }
within 'the upgrade restarts the service' page_answers
check 'the new process has taken over' [ "$(main_pid)" != "$pid" ]
check 'the end before it was a clean one' logged 6 'after a clean shutdown'

restarted() { active && [ "$(main_pid)" != "$pid" ] && [ "$(main_pid)" != 0 ] && page_answers; }
pid=$(main_pid)
inside kill -KILL "$pid"
within 'killed, it comes back by itself' restarted
mkdir -p "$tree/etc/systemd/system/printernizer.service.d"
printf '[Service]\nWatchdogSec=5\nTimeoutAbortSec=2\nRestartSec=1\n' >"$tree/etc/systemd/system/printernizer.service.d/test.conf"
inside systemctl daemon-reload
inside systemctl restart printernizer.service || fail 'restarting'
pid=$(main_pid)
# It stands still, as a process with a dead lock does.
inside kill -STOP "$pid"
within 'frozen, the watchdog ends it and it comes back' restarted
check 'and systemd says why' grep -q -i 'watchdog timeout' <(inside journalctl --no-pager)
# A loaded machine must not end it for being slow in what follows.
printf '[Service]\nRestartSec=1\n' >"$tree/etc/systemd/system/printernizer.service.d/test.conf"
inside systemctl daemon-reload
cp "$tree/etc/printernizer/printernizer.toml" "$scratch/good.toml"
printf '[web]\nlisten = "nowhere"\n' >"$tree/etc/printernizer/printernizer.toml"
inside systemctl restart printernizer.service 2>/dev/null || true
gave_up_thrice() { [ "$(property printernizer.service NRestarts)" -ge 3 ]; }
within 'with a mistake in its configuration it is tried again and again' gave_up_thrice
check 'the mistake is an error in the journal' logged 3 'web.listen: found "nowhere"'
cat "$scratch/good.toml" >"$tree/etc/printernizer/printernizer.toml"
within 'once the mistake is gone it starts without anybody' page_answers

section 'systemd: stop, light and power'
inside systemctl stop printernizer.service || fail 'stopping'
check 'stopped in order' [ "$(property printernizer.service Result)" = success ]
refuse 'stopped means stopped: the next request starts nothing' fetch --output /dev/null http://127.0.0.1/
inside systemctl start printernizer.service || fail 'starting'
within 'started again' page_answers
# A light as a Raspberry Pi has it.
inside sh -ec 'mount -t tmpfs tmpfs /sys/class; mkdir -p /sys/class/leds/ACT; cd /sys/class/leds/ACT; echo "[none] pattern" | tee trigger >pattern' \
  || fail 'no light can be made'
refuse 'no socket for power by itself' test -e "/proc/$leader/root/run/printernizer-power.sock"
inside systemctl enable --now printernizer-power.socket printernizer-light.socket 2>/dev/null || fail 'enabling the helpers'
check 'only the service may ask for power' [ "$(inside stat -c '%U:%G %a' /run/printernizer-power.sock)" = 'root:printernizer 660' ]
# Speaks to a socket in the container. ask KIND SOCKET WORD
ask() { limited 30 python3 -c '
import socket, sys
kind, path, word = sys.argv[1:]
with socket.socket(socket.AF_UNIX, getattr(socket, kind)) as s:
    s.settimeout(20)
    s.connect(path)
    s.sendall(word.encode())
    if kind == "SOCK_STREAM":
        print(s.recv(16).decode().strip())' "$1" "/proc/$leader/root/run/$2" "$3"; }
ask SOCK_DGRAM printernizer-light.sock printing
shown() { inside grep -q '^1 1000 1 0 0 1000 0 0' /sys/class/leds/ACT/pattern; }
within 'the light shows what is asked for' shown
check 'another word is refused' [ "$(ask SOCK_STREAM printernizer-power.sock 'format
')" = no ]
check 'power off is answered' [ "$(ask SOCK_STREAM printernizer-power.sock 'power-off
')" = ok ]
ended() { ! kill -0 "$container"; }
leader=''
within 'and the whole machine ends in order' ended
wait "$container" || fail "the container ended with an error: $(tail -n 5 "$scratch/nspawn.log")"
container=''

# --- OpenRC -----------------------------------------------------------------------------------------------------------------------

section 'OpenRC'
# Not Alpine, whose packages are not to be had everywhere: Debian's OpenRC, in namespaces of its own.
install -D -m 755 "$root/packaging/openrc/printernizer" "$tree/etc/init.d/printernizer"
mkdir -p "$tree/etc/conf.d"
sed '/logger=/d' "$root/packaging/openrc/printernizer.confd" >"$tree/etc/conf.d/printernizer"
cat >"$tree/root/openrc.sh" <<'OPENRC'
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
# What the boot of OpenRC leaves behind.
mkdir -p /run/lock
for state in daemons exclusive failed hotplugged inactive options scheduled started starting stopping tmp wasinactive; do
  mkdir -p "/run/openrc/$state"
done
touch /run/openrc/softlevel
rc-service --nodeps printernizer start
tries=0
until rc-service --nodeps printernizer status >/dev/null && (exec 3<>/dev/tcp/127.0.0.1/8080) 2>/dev/null; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "it does not listen"; exit 1; }
  sleep 0.2
done
pid=$(pgrep -x -u printernizer printernizer)
kill -KILL "$pid"
tries=0
until again=$(pgrep -x -u printernizer printernizer) && [ "$again" != "$pid" ]; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "it does not come back"; exit 1; }
  sleep 0.2
done
rc-service --nodeps printernizer stop
! pgrep -x printernizer || { echo "it does not stop"; exit 1; }
printf '[web]\nlisten = "nowhere"\n' >/etc/printernizer/printernizer.toml
! rc-service --nodeps printernizer start 2>/root/said || { echo "it starts with a mistake"; exit 1; }
grep -q nowhere /root/said
OPENRC
limited 180 unshare --net --pid --mount --uts --ipc --fork --kill-child -- /bin/sh -c \
  "ip link set lo up 2>/dev/null; exec chroot '$tree' /bin/bash /root/openrc.sh" >"$scratch/openrc" 2>&1 \
  || { cat "$scratch/openrc" >&2; fail 'OpenRC, see above'; }
printf '  ok: started as its own user, started again when killed, stopped, refused with a mistake in its configuration\n'
section_end
say "everything passed in $SECONDS s"
