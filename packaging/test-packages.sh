#!/usr/bin/env bash
# Tries the Debian package and the units on a small Debian of their own: first as in a chroot without a running systemd
# (install, upgrade, remove, purge; the installed program serves), then booted with systemd as process 1 in a container
# (systemd-nspawn): readiness, port 80, password, watchdog, restarts, power. Last under OpenRC.
#
# Usage: packaging/test-packages.sh [PROGRAM]
#        packaging/test-packages.sh --architecture ARCHITECTURE PROGRAM
#   PROGRAM        what is packed (default: target/debug/printernizer, which must be built); for this machine's processor
#   --architecture  the first part alone, for armhf, arm64 or amd64. A Debian of another processor runs emulated: its own dpkg,
#                  shell and systemd tools, and the program on the smallest processor that the package is for
# Environment:
#   PRINTERNIZER_SUITE   the Debian release of the container (default: this machine's)
#
# Needs root, mmdebstrap, systemd-nspawn (package systemd-container), dpkg, curl, python3; for another processor qemu-user-static
# and Linux 6.7, or an older one that has the emulator registered. The container has no network but its own loopback. It takes
# about a minute and a half, most of it for the tree, which is kept in target/packages-test; an emulated tree takes three to four.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
# shellcheck source=packaging/checks.sh
. "$root/packaging/checks.sh"

own=$(dpkg --print-architecture)
architecture=$own in_chroot_only=false
if [ "${1:-}" = --architecture ]; then
  [ $# -eq 3 ] || die "usage: test-packages.sh --architecture ARCHITECTURE PROGRAM"
  architecture=$2 in_chroot_only=true
  shift 2
fi
program=${1:-$root/target/debug/printernizer}
suite=${PRINTERNIZER_SUITE:-$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-bookworm}")}
[ "$(id -u)" -eq 0 ] || die "run as root: it makes a tree with other users' files and boots it"
[ -x "$program" ] || die "$program does not exist; run: cargo build"
for tool in strip mmdebstrap systemd-nspawn nsenter dpkg-deb curl python3 systemd-analyze; do
  command -v "$tool" >/dev/null || die "no $tool: apt-get install binutils mmdebstrap systemd-container curl python3 systemd"
done
# The processor that the program is run on where it is emulated, as QEMU names it: that of the Zero, and of the Zero 2 W.
case $architecture in
  amd64) emulator=qemu-x86_64 processor=qemu64 ;;
  arm64) emulator=qemu-aarch64 processor=cortex-a53 ;;
  armhf) emulator=qemu-arm processor=arm1176 ;;
  *) die "packages are tried for amd64, arm64 and armhf" ;;
esac

# emulated WORDS...: this script once more, with such words, where the kernel hands programs of the other processor to QEMU.
# That is registered for a user namespace of its own, with the same users; the machine's own table stays as it is.
emulated() {
  local status=0 registration=/usr/lib/binfmt.d/$emulator.conf table=/proc/sys/fs/binfmt_misc
  [ -f "$registration" ] || die "no $registration: apt-get install qemu-user-static"
  unshare --user --mount -- sleep infinity &
  local holder=$!
  container=$holder # so that it is ended at the end
  until [ "$(readlink "/proc/$holder/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do
    kill -0 "$holder" 2>/dev/null || die "this machine allows no user namespaces"
    sleep 0.1
  done
  echo '0 0 65536' >"/proc/$holder/uid_map"
  echo '0 0 65536' >"/proc/$holder/gid_map"
  # shellcheck disable=SC2016 # the inner shell expands these
  nsenter --target "$holder" --user --mount -- sh -ec '
    if mount -t binfmt_misc binfmt_misc "$2" 2>/dev/null; then cat "$1" >"$2/register"; fi
    [ -e "$2/$3" ]' sh "$registration" "$table" "$emulator" \
    || die "this kernel gives a user namespace no emulator of its own (before Linux 6.7), and the machine has none: systemctl restart systemd-binfmt"
  PRINTERNIZER_EMULATED=yes nsenter --target "$holder" --user --mount -- "$root/packaging/$(basename "$0")" "$@" || status=$?
  exit "$status"
}
if [ "$architecture" != "$own" ] && [ -z "${PRINTERNIZER_EMULATED:-}" ]; then emulated --architecture "$architecture" "$(realpath "$program")"; fi

work=$root/target/packages-test
mkdir -p "$work"
scratch=$(mktemp -d "$work/run.XXXXXX")
tree=$scratch/tree
last_lines() { inside journalctl --no-pager --lines=60 --output=short-monotonic; }

# --- the units by themselves ----------------------------------------------------------------------------------------------------

units() {
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
}
$in_chroot_only || units

# --- the tree -------------------------------------------------------------------------------------------------------------------

section 'tree'
base=$work/base-$suite-$architecture.tar
if [ ! -f "$base" ]; then
  say "making a Debian $suite of its own"
  included=systemd,systemd-sysv,openrc,procps options=() archive=()
  if [ "$architecture" != "$own" ]; then
    # What boots is not needed, and no updates are: every package less is seconds of emulation.
    included=systemd,systemd-sysv,usr-is-merged
    options=(--architectures="$architecture" --skip=check/qemu --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr)
    mirror=$(debian_mirror)
    archive=("deb ${mirror:-http://deb.debian.org/debian} $suite main")
  fi
  limited 600 mmdebstrap --quiet --variant=minbase --include="$included" "${options[@]}" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$scratch/base.tar" "${archive[@]}" >"$scratch/mmdebstrap" 2>&1 || { tail -n 30 "$scratch/mmdebstrap" >&2; die "mmdebstrap failed, see above"; }
  mv "$scratch/base.tar" "$base"
fi
mkdir "$tree"
if [ "$architecture" = "$own" ]; then
  tar -x --numeric-owner -C "$tree" -f "$base"
else
  # A user namespace can make no devices: it gets this machine's.
  tar -x --numeric-owner -C "$tree" -f "$base" --exclude='./dev/*'
  mount -t tmpfs tmpfs "$tree/dev"
  for device in null zero full random urandom; do
    : >"$tree/dev/$device"
    mount --bind "/dev/$device" "$tree/dev/$device"
  done
fi

if [ "$architecture" = "$own" ]; then strip --strip-debug -o "$scratch/program" "$program"; else cp "$program" "$scratch/program"; fi
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

# The service as its unit starts it, but for systemd: its user, its configuration, its directory.
cat >"$tree/root/serve.sh" <<'SERVE'
set -eu
processor=$1
# A chroot has none of its own; programs need none, emulators may.
mount -t proc proc /proc 2>/dev/null || true
install -d -o printernizer -g printernizer -m 700 /var/lib/printernizer
setpriv --reuid=printernizer --regid=printernizer --init-groups --no-new-privs env QEMU_CPU="$processor" \
  printernizer serve --config /etc/printernizer/printernizer.toml --data /var/lib/printernizer --listen 127.0.0.1:8080 &
pid=$!
# answers PATH: the status that the service gives
answers() {
  exec 3<>/dev/tcp/127.0.0.1/8080
  printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$1" >&3
  read -r _ status _ <&3
  printf '%s' "$status"
}
tries=0
until [ "$(answers /api/v1/health 2>/dev/null)" = 200 ]; do
  kill -0 "$pid" || { echo "it ends at once"; exit 1; }
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "it does not answer"; exit 1; }
  sleep 0.2
done
[ "$(answers /)" = 200 ] || { echo "it has no page"; exit 1; }
kill -TERM "$pid"
wait "$pid" || { echo "it ends with $?"; exit 1; }
[ -n "$(ls /var/lib/printernizer)" ] || { echo "it keeps nothing"; exit 1; }
SERVE
serves() {
  alone chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/bash /root/serve.sh "$processor" >"$scratch/serve" 2>&1 \
    || { cat "$scratch/serve" >&2; fail "$1 serves, see above"; }
  check "$1 says what it is" [ "$(in_tree QEMU_CPU="$processor" printernizer --version)" = "$built" ]
  printf '  ok: %s answers on /api/v1/health and /, and ends in order\n' "$1"
}
built="printernizer $(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")"

in_tree dpkg --install "$first" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'installing'; }
check "installed on a Debian for $architecture" [ "$(version) $(in_tree dpkg --print-architecture)" = "0.0.1 ii  $architecture" ]
check 'it has a user that nobody can log in as' grep -q '^printernizer:.*:/usr/sbin/nologin$' "$tree/etc/passwd"
check 'its configuration is for root and the service only' [ "$(in_tree stat -c '%U:%G %a' /etc/printernizer/printernizer.toml)" = 'root:printernizer 640' ]
check 'its configuration is a good one' in_tree QEMU_CPU="$processor" printernizer check-config --config /etc/printernizer/printernizer.toml
check 'the service starts with the machine' enabled printernizer.service multi-user.target
check 'port 80 is opened with the machine' enabled printernizer.socket sockets.target
refuse 'power over the machine is off unless wanted' enabled printernizer-power.socket sockets.target
in_tree systemd-analyze verify /usr/lib/systemd/system/printernizer.service >"$scratch/verify" 2>&1 || true
refuse 'systemd-analyze verify is silent about the installed unit' grep -i printernizer "$scratch/verify"

serves 'the installed program'

printf '\n[log]\nlevel = "debug"\n' >>"$tree/etc/printernizer/printernizer.toml"
printf 'precious' >"$tree/var/lib/printernizer/keep-me"
in_tree systemctl disable printernizer.socket >/dev/null 2>&1
in_tree dpkg --install "$second" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'upgrading'; }
check 'upgraded' [ "$(version)" = '0.0.2 ii ' ]
check 'the upgrade keeps the configuration' grep -q 'level = "debug"' "$tree/etc/printernizer/printernizer.toml"
check 'the upgrade keeps its rights' [ "$(in_tree stat -c '%U:%G %a' /etc/printernizer/printernizer.toml)" = 'root:printernizer 640' ]
check 'the upgrade keeps the data' [ "$(cat "$tree/var/lib/printernizer/keep-me")" = precious ]
refuse 'the upgrade leaves off what was switched off' enabled printernizer.socket sockets.target
serves 'with the data of the version before, the program'

in_tree dpkg --remove printernizer >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'removing'; }
check 'removed' [ "$(version)" = '0.0.2 rc ' ]
refuse 'the program is gone' [ -e "$tree/usr/bin/printernizer" ]
check 'removing keeps configuration and data' [ -f "$tree/etc/printernizer/printernizer.toml" -a -f "$tree/var/lib/printernizer/keep-me" ]
in_tree dpkg --install "$second" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'installing again'; }
check 'installed again, with the configuration as it was' grep -q 'level = "debug"' "$tree/etc/printernizer/printernizer.toml"
in_tree dpkg --purge printernizer >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg" >&2; fail 'purging'; }
refuse 'purging takes configuration and data' [ -e "$tree/etc/printernizer" -o -e "$tree/var/lib/printernizer" ]
check 'purging leaves nothing enabled or masked' [ -z "$(find "$tree/etc/systemd/system" -name 'printernizer*')" ]

if $in_chroot_only; then
  section_end
  say "the package for $architecture passed in $SECONDS s"
  exit
fi

# --- under systemd ----------------------------------------------------------------------------------------------------------------

section 'systemd'
printf '%032x\n' 80 >"$tree/etc/machine-id"
boot printernizer-test
property() { inside systemctl show --property="$2" --value "$1"; }
up() { booted && [ "$(inside systemctl is-system-running)" = running ]; }
within 'a Debian with systemd runs' up
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
alone chroot "$tree" /bin/bash /root/openrc.sh >"$scratch/openrc" 2>&1 \
  || { cat "$scratch/openrc" >&2; fail 'OpenRC, see above'; }
printf '  ok: started as its own user, started again when killed, stopped, refused with a mistake in its configuration\n'
section_end
say "everything passed in $SECONDS s"
