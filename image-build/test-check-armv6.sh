#!/usr/bin/env bash
# Proves that the gates of the ARMv6 build can say no: check-armv6.sh has to refuse programs for the wrong processor or calling
# convention, and the emulated ARM1176 has to trap on an instruction that it lacks. Takes a few seconds.
#
# Usage: image-build/test-check-armv6.sh     (after toolchain.sh)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
here=$root/image-build
toolchain=${PRINTERNIZER_ARMV6_TOOLCHAIN:-$root/target/armv6-toolchain}
environment=$toolchain/env-arm-unknown-linux-musleabihf
[ -f "$environment" ] || die "run image-build/toolchain.sh first"
printernizer_zig=
# shellcheck source=/dev/null # written by toolchain.sh
. "$environment"
qemu=$(command -v qemu-arm-static || command -v qemu-arm) || die "no qemu-arm: apt-get install qemu-user-static"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export ZIG_GLOBAL_CACHE_DIR=$toolchain/zig-cache ZIG_LOCAL_CACHE_DIR=$toolchain/zig-cache

# A program without libc that ends with exit code 0; with -DNEON it uses a NEON register first.
cat >"$scratch/probe.c" <<'C'
void _start(void) {
#ifdef NEON
    __asm__ volatile("vmov.i32 q0, #0");
#endif
#ifdef __arm__
    __asm__ volatile("mov r7, #1\n mov r0, #0\n svc 0");
#endif
}
C
# build NAME TARGET CPU OPTIONS...
build() {
  local name=$1 target=$2 cpu=$3
  shift 3
  limited 300 "$printernizer_zig" cc -target "$target" "-mcpu=$cpu" -Os -nostdlib -fno-exceptions -fno-unwind-tables "$@" -o "$scratch/$name" "$scratch/probe.c" \
    || die "cannot build the probe $name"
}
# refused NAME WORDS: check-armv6.sh must fail and its line must contain the words.
refused() {
  if "$here/check-armv6.sh" "$scratch/$1" >"$scratch/$1.log" 2>&1; then die "check-armv6.sh accepted $1"; fi
  grep -qF -- "$2" "$scratch/$1.log" || die "check-armv6.sh refused $1 for another reason: $(cat "$scratch/$1.log")"
  say "refused as it should: $(sed 's/^.*error: [^:]*: //' "$scratch/$1.log")"
}

build armv6 arm-linux-musleabihf arm1176jzf_s
"$here/check-armv6.sh" "$scratch/armv6" || die "check-armv6.sh refuses a good program"
build armv7 arm-linux-musleabihf cortex_a7
refused armv7 Tag_CPU_arch
build soft-float arm-linux-musleabi arm1176jzf_s
refused soft-float flags
build aarch64 aarch64-linux-musl generic
refused aarch64 'file class'
build library.so arm-linux-musleabihf arm1176jzf_s -shared
build dynamic arm-linux-musleabihf arm1176jzf_s "$scratch/library.so" -Wl,--no-as-needed
refused dynamic 'dynamically linked'
printf 'no program' >"$scratch/text"
refused text 'not an ELF program'

limited 30 "$qemu" -cpu arm1176 "$scratch/armv6" || die "the emulated ARM1176 cannot run a good program"
build neon arm-linux-musleabihf cortex_a7 -DNEON
limited 30 "$qemu" -cpu cortex-a7 "$scratch/neon" || die "the emulated Cortex-A7 cannot run a NEON program"
status=0
(limited 30 "$qemu" -cpu arm1176 "$scratch/neon") >/dev/null 2>&1 || status=$?
[ "$status" -eq 132 ] || die "a NEON program on the emulated ARM1176 ended with $status instead of 132 (SIGILL)"
say "the emulated ARM1176 ends a NEON program with SIGILL, as the board would"
