# Shared by the scripts that try the packages; source it after scripts/lib.sh, do not run it.
# It gives the words of the checks, and trees and containers that are gone afterwards.
# shellcheck shell=bash

# Every wait for something to happen in the container ends here; nothing depends on how fast it is.
readonly patience=120
# The running container, and its first process as this machine sees it; empty without one.
container='' leader=''
# Where a tree lies while it is tried; the scripts set it.
scratch='' tree=''

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
  if [ -n "$tree" ] && mountpoint --quiet "$tree/dev"; then umount --recursive "$tree/dev" || true; fi
  [ -z "$scratch" ] || rm -rf --one-file-system "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
  printf '%s: FAILED: %s\n' "$(basename "$0")" "$*" >&2
  if [ -n "$leader" ]; then last_lines >&2 || true; fi
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

# alone COMMAND...: in namespaces of its own, with nothing but a loopback, and nothing left when it ends
alone() {
  limited 180 unshare --net --pid --mount --uts --ipc --fork --kill-child -- /bin/sh -c \
    'ip link set lo up 2>/dev/null; exec "$@"' sh "$@"
}

# boot NAME: the tree as a machine, with its init as process 1 in namespaces of its own; sets container. The machine's own service
# manager is not asked for anything.
boot() {
  systemd-nspawn --quiet --directory="$tree" --machine="$1" --register=no --keep-unit --private-network --boot \
    --console=pipe --link-journal=no --resolv-conf=off --timezone=off </dev/null >"$scratch/nspawn.log" 2>&1 &
  container=$!
}
# booted: whether it has a first process; sets leader
booted() {
  kill -0 "$container" || fail "the container ended: $(tail -n 5 "$scratch/nspawn.log")"
  leader=$(pgrep --parent "$container" | head -n 1)
  [ -n "$leader" ]
}
inside() { limited 60 nsenter --target "$leader" --all -- /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
# The container's network with this machine's programs.
fetch() { limited 30 nsenter --target "$leader" --net -- curl --silent --show-error --max-time 20 "$@"; }
status_of() { fetch --output /dev/null --write-out '%{http_code}' "$@"; }
