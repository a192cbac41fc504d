#!/usr/bin/env bash
# Tries the package's scripts on machines that are not as they expect: a user of the service's name that was there before, data
# on a file system of its own or behind a link. In a scratch directory, with doubles of the programs that change the system; what
# happens on a whole system is tried by test-packages.sh.
#
# Usage: packaging/test-scripts.sh     as root (it mounts, in a namespace of its own)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
[ "$(id -u)" -eq 0 ] || die "run as root: it mounts a file system"
if [ "${1:-}" != inside ]; then exec unshare --mount -- "${BASH_SOURCE[0]}" inside; fi

scratch=$(mktemp -d)
cleanup() {
  umount "$scratch/machine/var/lib/printernizer" 2>/dev/null || true
  rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT
machine=$scratch/machine doubles=$scratch/doubles

# A machine without systemd, whose users and groups are the files users and groups.
fresh() {
  umount "$machine/var/lib/printernizer" 2>/dev/null || true
  rm -rf --one-file-system "$machine"
  mkdir -p "$machine/etc/printernizer" "$machine/etc/systemd/system" "$machine/var/lib/printernizer"
  : >"$machine/etc/printernizer/printernizer.toml"
  : >"$machine/users"
  : >"$machine/groups"
}
mkdir -p "$doubles"
double() { printf '#!/bin/sh\ncd %q\n%s\n' "$machine" "$2" >"$doubles/$1" && chmod 755 "$doubles/$1"; }
# shellcheck disable=SC2016 # the doubles expand these
{
  double getent 'case $1 in passwd) grep -qx "$2" users ;; group) grep -qx "$2" groups ;; esac'
  double groupadd 'for name in "$@"; do :; done; ! grep -qx "$name" groups || exit 9; echo "$name" >>groups'
  double useradd 'for name in "$@"; do :; done
case " $* " in *" --user-group "*) ! grep -qx "$name" groups || exit 9; echo "$name" >>groups ;; esac
echo "$name" >>users'
  double chown 'group=${1#*:}; [ "$group" = root ] || grep -qx "$group" groups || { echo "chown: invalid group: $1" >&2; exit 1; }'
}
for name in deb-systemd-helper deb-systemd-invoke; do double "$name" 'exit 0'; done
for name in chmod rm rmdir readlink printf ln mkdir sed find grep cat; do ln -s "$(command -v "$name")" "$doubles/$name" 2>/dev/null || true; done
# script NAME WORDS...: runs it with the machine's directories for those of this one
script() {
  sed "s#/etc/#$machine/etc/#g; s#/var/lib/#$machine/var/lib/#g; s#/run/#$machine/run/#g" "$root/packaging/debian/$1" >"$scratch/script"
  shift
  limited 60 /usr/bin/env PATH="$doubles" /bin/sh "$scratch/script" "$@"
}
fail() { printf 'test-scripts.sh: FAILED: %s\n' "$1" >&2; exit 1; }

for before in '' 'user' 'group' 'user group'; do
  fresh
  case $before in *user*) echo printernizer >"$machine/users" ;; esac
  case $before in *group*) echo printernizer >"$machine/groups" ;; esac
  script postinst configure '' || fail "installing, with this there before: ${before:-nothing}"
  grep -qx printernizer "$machine/users" || fail "no user, with this there before: ${before:-nothing}"
  grep -qx printernizer "$machine/groups" || fail "no group, with this there before: ${before:-nothing}"
done
printf '  ok: installs, whatever of user and group was there before\n'

fresh
echo code >"$machine/var/lib/printernizer/printernizer.redb"
script postrm purge || fail 'purging'
[ ! -e "$machine/var/lib/printernizer" ] || fail 'purging leaves the data'
fresh
mount -t tmpfs tmpfs "$machine/var/lib/printernizer"
mkdir "$machine/var/lib/printernizer/files"
echo code >"$machine/var/lib/printernizer/printernizer.redb"
script postrm purge 2>/dev/null || fail 'purging, with the data on a file system of its own'
[ -z "$(ls -A "$machine/var/lib/printernizer")" ] || fail 'purging leaves data on the file system of its own'
fresh
rmdir "$machine/var/lib/printernizer"
mkdir "$machine/disk"
echo mine >"$machine/disk/something-else"
ln -s "$machine/disk" "$machine/var/lib/printernizer"
script postrm purge 2>"$scratch/said" || fail 'purging, with the data behind a link'
[ ! -h "$machine/var/lib/printernizer" ] || fail 'purging leaves the link'
[ -f "$machine/disk/something-else" ] || fail 'purging takes what lies behind a link'
grep -q "stays in $machine/disk" "$scratch/said" || fail 'purging does not say what stays'
printf '  ok: purges, wherever the data lies\n'
