#!/usr/bin/env bash
# Refuses a program that a Raspberry Pi Zero could not run: anything but 32-bit ARM for at most ARMv6, with the VFPv2
# hard-float calling convention, statically linked and without NEON.
#
# Usage: image-build/check-armv6.sh PROGRAM
#
# It reads the build attributes that compiler and linker wrote. Searching the code for NEON mnemonics would be wrong:
# ring carries hand-written NEON code that is entered only where the kernel reports NEON. Attributes prove what the compiler was
# told, not what it did; that is why self-test-armv6.sh then runs the program on an emulated ARM1176, which traps.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

[ $# -eq 1 ] || die "usage: check-armv6.sh PROGRAM"
program=$1
[ -f "$program" ] || die "$program: no such file"
command -v readelf >/dev/null || die "no readelf: apt-get install binutils"

header=$(LC_ALL=C readelf --file-header --wide "$program" 2>&1) || die "$program: not an ELF program"
segments=$(LC_ALL=C readelf --program-headers --dynamic --wide "$program")
attributes=$(LC_ALL=C readelf --arch-specific "$program")

# The value of one build attribute, or "none".
attribute() { awk -F': ' -v name="$1" '{ gsub(/^ +/, "", $1) } $1 == name { print $2; found = 1 } END { if (!found) print "none" }' <<<"$attributes"; }
# must WHAT VALUE PATTERN: the value has to match the extended regular expression as a whole.
must() { grep -Eqx -- "$3" <<<"$2" || die "$program: $1 is '$2', a Raspberry Pi Zero needs $3"; }

must 'file class' "$(sed -n 's/^ *Class: *//p' <<<"$header")" 'ELF32'
must 'machine' "$(sed -n 's/^ *Machine: *//p' <<<"$header")" 'ARM'
must 'flags' "$(sed -n 's/^ *Flags: *//p' <<<"$header")" '.*hard-float ABI.*'
# The ARM1176JZF-S is an ARMv6KZ; plain v6 and v6K are subsets of it.
must 'Tag_CPU_arch' "$(attribute Tag_CPU_arch)" 'v6|v6K|v6KZ'
must 'Tag_FP_arch' "$(attribute Tag_FP_arch)" 'VFPv2'
must 'Tag_ABI_VFP_args' "$(attribute Tag_ABI_VFP_args)" 'VFP registers'
must 'Tag_Advanced_SIMD_arch (NEON)' "$(attribute Tag_Advanced_SIMD_arch)" 'none'
must 'Tag_THUMB_ISA_use' "$(attribute Tag_THUMB_ISA_use)" 'none|Thumb-1'
! grep -Eq '^ *INTERP|\(NEEDED\)' <<<"$segments" || die "$program: dynamically linked; the image has no matching libc"

say "$program: $(attribute Tag_CPU_arch) ($(attribute Tag_CPU_name)), $(attribute Tag_FP_arch), hard float, static"
