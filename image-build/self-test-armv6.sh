#!/usr/bin/env bash
# Runs `printernizer self-test` on an emulated ARM1176 (user-mode QEMU), the processor of the Raspberry Pi Zero. Unlike real ARMv7
# hardware it traps on instructions which the Zero does not have. Fails when the self-test fails, says nothing or hangs.
#
# Usage: image-build/self-test-armv6.sh [PROGRAM]     (default: target/armv6/printernizer)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

program=${1:-$root/target/armv6/printernizer}
[ -f "$program" ] || die "$program does not exist: run image-build/build-armv6.sh"
qemu=$(command -v qemu-arm-static || command -v qemu-arm) || die "no qemu-arm: apt-get install qemu-user-static"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/data"
status=0
TMPDIR=$scratch limited "${PRINTERNIZER_SELF_TEST_SECONDS:-300}" \
  "$qemu" -cpu arm1176 "$program" self-test --data "$scratch/data" >"$scratch/output" 2>&1 || status=$?
cat "$scratch/output"
case $status in
  0) ;;
  132) die "the program used an instruction which the ARM1176 does not have (SIGILL)" ;;
  *) die "the self-test on the emulated ARM1176 ended with exit code $status" ;;
esac
# A program that ignores its arguments also ends with 0.
[ -s "$scratch/output" ] || die "the self-test printed nothing, so nothing was tested"
say "the self-test passed on an emulated ARM1176"
