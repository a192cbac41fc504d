#!/usr/bin/env bash
# Builds release programs: static, stripped, panics unwind, optimised for size but for the loops that touch every byte.
#
# Usage: image-build/build-release.sh [--packages | --benches] [NAME...]
#   NAME         armv6     Raspberry Pi Zero, Zero W, 1 (and everything newer with a 32-bit system)
#                armv7     Raspberry Pi 2, 3, Zero 2 W with a 32-bit system
#                aarch64   Raspberry Pi 3, 4, 5, Zero 2 W with a 64-bit system, other 64-bit ARM
#                x86_64    PCs
#                (default: all four)
#   --packages   makes Debian packages of them too: armhf (from armv6), arm64, amd64, into target/packages
#   --benches    builds no program but the benches whose instructions are counted, into target/NAME/benches; see benches/README.md
# Result: target/NAME/printernizer, printernizer.cdx.json (what is in it) and licences.txt; for armv6 also what the card needs
# Environment: see toolchain.sh; that script is run first and does nothing where all is ready.
#   PRINTERNIZER_PROGRAMS              builds only these programs (printernizer, printernizer-init)
#   PRINTERNIZER_ARMV6_BUILD_SECONDS   deadline of each build (default 2700)
#
# The same source gives the same bytes, whatever folder it lies in: no path, time or name of the machine gets in. Proved by
# check-reproducible.sh.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
here=$root/image-build
toolchain=${PRINTERNIZER_ARMV6_TOOLCHAIN:-$root/target/armv6-toolchain}

# What count-instructions.sh runs.
readonly counted_benches=(report formats crypto)
packages=false benches=false names=()
for argument in "$@"; do
  case $argument in
    --packages) packages=true ;;
    --benches) benches=true ;;
    armv6 | armv7 | aarch64 | x86_64) names+=("$argument") ;;
    *) die "unknown word $argument; usage: build-release.sh [--packages | --benches] [armv6] [armv7] [aarch64] [x86_64]" ;;
  esac
done
[ "${#names[@]}" -gt 0 ] || names=(armv6 armv7 aarch64 x86_64)
cd "$root"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}"
export SOURCE_DATE_EPOCH

# describe NAME: sets target, zig_target, zig_cpu, cpu, architecture, machine
describe() {
  case $1 in
    # The board's processor, so that 64-bit atomics are one LDREXD loop instead of a call into the kernel's helper page.
    armv6) target=arm-unknown-linux-musleabihf zig_target=arm-linux-musleabihf zig_cpu=arm1176jzf_s cpu=arm1176jzf-s architecture=armhf machine=40 ;;
    # No NEON taken for granted, as Rust's own target; ring asks the kernel.
    armv7) target=armv7-unknown-linux-musleabihf zig_target=arm-linux-musleabihf zig_cpu=generic+v7a+vfp3d16+thumb2-neon cpu='' architecture='' machine=40 ;;
    aarch64) target=aarch64-unknown-linux-musl zig_target=aarch64-linux-musl zig_cpu=generic cpu='' architecture=arm64 machine=183 ;;
    x86_64) target=x86_64-unknown-linux-musl zig_target=x86_64-linux-musl zig_cpu=x86_64 cpu='' architecture=amd64 machine=62 ;;
  esac
}

# refuse_others PROGRAM: anything but a static program for the machine that was asked for
refuse_others() {
  local found segments
  found=$(LC_ALL=C od -An -tu2 --endian=little -j18 -N2 "$1" | tr -d ' ')
  [ "$found" = "$machine" ] || die "$1 is for machine $found, not $machine"
  segments=$(LC_ALL=C readelf --program-headers --dynamic --wide "$1")
  ! grep -Eq '^ *INTERP|\(NEEDED\)' <<<"$segments" || die "$1 is dynamically linked"
}

# put_benches DIRECTORY: copies the benches that cargo's messages name to where their names have no hash
put_benches() {
  local bench path
  mkdir -p "$1/benches"
  for bench in "${counted_benches[@]}"; do
    path=$(python3 -c '
import json, sys
lines = map(json.loads, open(sys.argv[1], encoding="utf-8"))
print(*(line["executable"] for line in lines
        if line.get("executable") and line["target"]["name"] == sys.argv[2] and line["target"]["kind"] == ["bench"]))
' "$1/built.json" "$bench")
    [ -f "$path" ] || die "cargo built no bench $bench"
    cp -f "$path" "$1/benches/$bench"
    say "$1/benches/$bench: $(stat -c %s "$path") bytes"
  done
}

build() {
  local name=$1 target zig_target zig_cpu cpu architecture machine
  local printernizer_zig='' printernizer_std_source='' triple program directory=$root/target/$1 started=$SECONDS
  describe "$name"
  "$here/toolchain.sh" "$target"
  # shellcheck source=/dev/null # written by toolchain.sh
  . "$toolchain/env-$target"
  triple=${target//-/_}

  # link-self-contained=no: Zig brings crt1.o and libunwind; rustc would name its own, which do not exist for a library built here.
  # remap-path-prefix: messages of panics name no directory of the building machine.
  local rustflags=(-C link-self-contained=no)
  [ -z "$cpu" ] || rustflags+=(-C "target-cpu=$cpu")
  rustflags+=("--remap-path-prefix=$root=/printernizer" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo")
  local options=(--locked --release --target "$target" --target-dir "$directory") programs=()
  read -ra programs <<<"${PRINTERNIZER_PROGRAMS:-}"
  if [ "${#programs[@]}" -eq 0 ]; then
    programs=(printernizer)
    # The first program of the card, which only the Zero's has.
    if [ "$name" = armv6 ] && grep -q '"printernizer-init"' board/Cargo.toml; then programs+=(printernizer-init); fi
  fi
  if $benches; then
    programs=()
    options+=(--package printernizer --message-format=json-render-diagnostics "${counted_benches[@]/#/--bench=}")
  fi
  for program in "${programs[@]}"; do
    case $program in
      printernizer) options+=(--package printernizer --bin printernizer) ;;
      printernizer-init) options+=(--package printernizer-board --bin printernizer-init) ;;
      *) die "unknown program $program; there are printernizer and printernizer-init" ;;
    esac
  done
  (
    export PRINTERNIZER_ZIG=$printernizer_zig PRINTERNIZER_ZIG_TARGET=$zig_target PRINTERNIZER_ZIG_CPU=$zig_cpu
    export ZIG_GLOBAL_CACHE_DIR=$toolchain/zig-cache ZIG_LOCAL_CACHE_DIR=$toolchain/zig-cache
    export "CC_$triple=$here/zig-cc" "AR_$triple=$here/zig-ar" "CARGO_TARGET_${triple^^}_LINKER=$here/zig-cc"
    # The C of ring names no directory either; escaped, as a folder may have a blank in its name.
    export CC_SHELL_ESCAPED_FLAGS=1 "CFLAGS_$triple=$(printf '%q' "-ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo")"
    if [ -n "$printernizer_std_source" ]; then
      # The standard library comes from its source. Stable rustc builds it only when told to act as its own bootstrap;
      # the variable that names the source is cargo's own and leaves the Rust installation untouched.
      export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$printernizer_std_source
      options+=('-Zbuild-std=std,panic_unwind')
      rustflags+=("--remap-path-prefix=$printernizer_std_source=/rustc/library")
    fi
    # One separator that no path contains: RUSTFLAGS itself would be split at blanks. It also keeps out the caller's RUSTFLAGS.
    CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; printf '%s' "${rustflags[*]}")
    export CARGO_ENCODED_RUSTFLAGS
    if $benches; then
      mkdir -p "$directory"
      exec >"$directory/built.json"
    fi
    limited "${PRINTERNIZER_ARMV6_BUILD_SECONDS:-2700}" cargo build "${options[@]}"
  ) || die "cargo build for $target failed, see above"
  if $benches; then
    put_benches "$directory"
    say "built in $((SECONDS - started)) s"
    return 0
  fi
  for program in "${programs[@]}"; do
    refuse_others "$directory/$target/release/$program"
    [ "$name" != armv6 ] || "$here/check-armv6.sh" "$directory/$target/release/$program"
    cp -f "$directory/$target/release/$program" "$directory/$program"
    say "$directory/$program: $(stat -c %s "$directory/$program") bytes ($(gzip -9 -c "$directory/$program" | wc -c) as .gz)"
  done
  say "built in $((SECONDS - started)) s"
  [[ " ${programs[*]} " == *' printernizer '* ]] || return 0
  python3 "$here/sbom.py" --target "$target" --program "$directory/printernizer" --sbom "$directory/printernizer.cdx.json" \
    --licences "$directory/licences.txt" || die "cannot list what is in $directory/printernizer"
  if $packages && [ -n "$architecture" ]; then
    PRINTERNIZER_SBOM=$directory/printernizer.cdx.json PRINTERNIZER_LICENCES=$directory/licences.txt \
      "$root/packaging/build-deb.sh" "$architecture" "$directory/printernizer"
  fi
}

mkdir -p "$toolchain"
toolchain=$(cd "$toolchain" && pwd)
for name in "${names[@]}"; do build "$name"; done
