#!/usr/bin/env bash
# Builds the release programs for the Raspberry Pi Zero: ARMv6, hard float, static musl, panics unwind.
#
# Usage: image-build/build-armv6.sh [PROGRAM ...]   (default: printernizer, and printernizer-init of the card)
# Result: target/armv6/PROGRAM (stripped), checked by check-armv6.sh
# Environment: see armv6-toolchain.sh; that script is run first and does nothing where all is ready.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
here=$root/image-build
toolchain=${PRINTERNIZER_ARMV6_TOOLCHAIN:-$root/target/armv6-toolchain}
target=arm-unknown-linux-musleabihf
target_directory=$root/target/armv6
programs=("$@")
[ $# -gt 0 ] || programs=(printernizer printernizer-init)

"$here/armv6-toolchain.sh"
toolchain=$(cd "$toolchain" && pwd)
armv6_zig='' armv6_std_source=''
# shellcheck source=/dev/null # written by armv6-toolchain.sh
. "$toolchain/env"
cd "$root"

export PRINTERNIZER_ZIG=$armv6_zig
export ZIG_GLOBAL_CACHE_DIR=$toolchain/zig-cache ZIG_LOCAL_CACHE_DIR=$toolchain/zig-cache
export CC_arm_unknown_linux_musleabihf=$here/armv6-cc AR_arm_unknown_linux_musleabihf=$here/armv6-ar
export CARGO_TARGET_ARM_UNKNOWN_LINUX_MUSLEABIHF_LINKER=$here/armv6-cc

# link-self-contained=no: Zig brings crt1.o and libunwind; rustc would name its own, which do not exist for a library built here.
# target-cpu: the board's processor, so that 64-bit atomics are one LDREXD loop instead of a call into the kernel's helper page.
# remap-path-prefix: messages of panics name no directory of the building machine. (Checkouts in two places still give different
# bytes: cargo mixes the path of the standard library's source into its symbol names.)
rustflags=(-C link-self-contained=no -C target-cpu=arm1176jzf-s)
rustflags+=("--remap-path-prefix=$root=/printernizer" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo")
cargo_options=(--locked --release --target "$target" --target-dir "$target_directory")
for program in "${programs[@]}"; do
  case $program in
    printernizer) cargo_options+=(--package printernizer --bin printernizer) ;;
    printernizer-init) cargo_options+=(--package printernizer-board --bin printernizer-init) ;;
    *) die "unknown program $program; there are printernizer and printernizer-init" ;;
  esac
done
if [ -n "$armv6_std_source" ]; then
  # The standard library comes from its source. Stable rustc builds it only when told to act as its own bootstrap;
  # the variable that names the source is cargo's own and leaves the Rust installation untouched.
  export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$armv6_std_source
  cargo_options+=('-Zbuild-std=std,panic_unwind')
  rustflags+=("--remap-path-prefix=$armv6_std_source=/rustc/library")
fi
# One separator that no path contains: RUSTFLAGS itself would be split at blanks. It also keeps out the caller's RUSTFLAGS.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; printf '%s' "${rustflags[*]}")
export CARGO_ENCODED_RUSTFLAGS

started=$SECONDS
limited "${PRINTERNIZER_ARMV6_BUILD_SECONDS:-2700}" cargo build "${cargo_options[@]}" || die "cargo build for $target failed, see above"
for program in "${programs[@]}"; do
  "$here/check-armv6.sh" "$target_directory/$target/release/$program"
  cp -f "$target_directory/$target/release/$program" "$target_directory/$program"
  say "$target_directory/$program: $(stat -c %s "$target_directory/$program") bytes ($(gzip -9 -c "$target_directory/$program" | wc -c) as .gz)"
done
say "built in $((SECONDS - started)) s"
