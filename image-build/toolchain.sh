#!/usr/bin/env bash
# Prepares what release builds need beside the installed Rust: static programs for other processors.
#
#   zig/          C compiler, linker and musl, from the Python package index, pinned by hash
#   env-TARGET    where Zig and the standard library's source are; read by build-release.sh
#
# The source of the standard library goes elsewhere, to one place for all checkouts, and only where the target's compiled one cannot
# be had. cargo mixes its path into the names of symbols: only the same path on every machine gives the same program.
#
# Usage: image-build/toolchain.sh [TARGET]     as Rust names it (default: arm-unknown-linux-musleabihf)
# Environment:
#   PRINTERNIZER_ARMV6_TOOLCHAIN   where to put it (default: target/armv6-toolchain in the checkout)
#   PRINTERNIZER_ARMV6_STD         `source` skips the compiled standard library and takes the source (default: `auto`)
#   PRINTERNIZER_ARMV6_CACHE       a directory with the rust-src .deb (default: ../shared/armv6 beside the checkout)
#   PRINTERNIZER_RUST_SRC          where the standard library's source goes (default: /var/tmp/printernizer-rust-src-RELEASE);
#                                  another place gives a program of the same worth with other bytes
#
# Does nothing where everything is there already. Leaves the system and the Rust installation as they are, except that
# `rustup target add` may add the target.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
here=$root/image-build
toolchain=${PRINTERNIZER_ARMV6_TOOLCHAIN:-$root/target/armv6-toolchain}
target=${1:-arm-unknown-linux-musleabihf}

mkdir -p "$toolchain"
toolchain=$(cd "$toolchain" && pwd)
# Two builds at once must not unpack into the same place. The other one needs a minute at most.
exec 9>"$toolchain/.lock"
flock --wait 900 9 || die "another run has been preparing $toolchain for 15 minutes; end it or remove $toolchain"

cd "$root" # the toolchain that rustup chooses may depend on the directory
command -v rustc >/dev/null || die "no rustc: install Rust (https://rustup.rs)"
release=$(rustc -vV | sed -n 's/^release: //p')
sysroot=$(rustc --print sysroot)
scratch=$(mktemp -d "$toolchain/.work.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

has_compiled_std() { compgen -G "$sysroot/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null; }

# Zig: the version and hash that zig-requirements.txt pins.
prepare_zig() {
  local pin stamp=$toolchain/zig/.requirements
  pin=$(sha256sum <"$here/zig-requirements.txt")
  if [ -x "$toolchain/zig/ziglang/zig" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$pin" ]; then return; fi
  python3 -m pip --version >/dev/null 2>&1 || die "no pip: apt-get install python3-pip"
  say "fetching Zig (C compiler, linker, musl; about 80 MB, 430 MB unpacked)"
  limited 900 python3 -m pip install --quiet --target "$scratch/zig" --no-deps --only-binary=:all: --require-hashes \
    --root-user-action=ignore --requirement "$here/zig-requirements.txt" \
    || die "cannot install Zig from the Python package index, see above"
  "$scratch/zig/ziglang/zig" version >/dev/null || die "the fetched Zig does not run on this machine"
  printf '%s\n' "$pin" >"$scratch/zig/.requirements"
  rm -rf "$toolchain/zig"
  mv "$scratch/zig" "$toolchain/zig"
}

# The compiled standard library. rustup gets a short deadline, because a closed network makes it wait and try again.
prepare_compiled_std() {
  has_compiled_std && return
  [ ! -e "$toolchain/.no-$target-$release" ] || return 1 # asked before; remove the file to ask again
  command -v rustup >/dev/null || return 1
  say "asking rustup for the compiled standard library (20 s at most)"
  if timeout --kill-after=5 20 rustup target add "$target" </dev/null >"$scratch/rustup.log" 2>&1 && has_compiled_std; then
    return
  fi
  say "rustup cannot get it: $({ grep -m1 -i 'error' "$scratch/rustup.log" || echo 'no answer in time'; } | cut -c1-100); taking the source"
  : >"$toolchain/.no-$target-$release"
  return 1
}

# The base address of the Debian archive that this machine's apt uses, without naming one here.
debian_mirror() {
  command -v apt-get >/dev/null || return 1
  # shellcheck disable=SC2016 # apt expands these, not the shell
  apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(CODENAME)' 'Created-By: Packages' 2>/dev/null \
    | awk '$2 == "Debian" && $1 !~ /security/ { sub(/\/$/, "", $1); print $1; exit }'
}

# prints the path of a .deb with the wanted hash: from the cache, else from the Debian archive
find_rust_src() {
  local version=$1 hash=$2 name cache mirror
  name=rust-src_${version}_all.deb
  cache=${PRINTERNIZER_ARMV6_CACHE:-$root/../shared/armv6}
  if [ -f "$cache/$name" ]; then
    if printf '%s  %s\n' "$hash" "$cache/$name" | sha256sum --check --status; then
      printf '%s\n' "$cache/$name"
      return
    fi
    say "$cache/$name has not the pinned SHA-256; ignoring it" >&2
  fi
  # The archive's index drops the package long before the file goes, and mirrors are briefly out of step with their own
  # index, so the file is fetched by its pool path. The pinned hash is what makes it trustworthy, not the way it came.
  mirror=$(debian_mirror) && [ -n "$mirror" ] || return 1
  say "fetching $name from the Debian archive (45 MB)" >&2
  limited 600 /usr/lib/apt/apt-helper -o APT::Sandbox::User=root -o Acquire::Retries=3 \
    download-file "$mirror/pool/main/r/rustc/$name" "$scratch/$name" "SHA256:$hash" >"$scratch/apt.log" 2>&1 || {
    tail -n 5 "$scratch/apt.log" >&2
    return 1
  }
  printf '%s  %s\n' "$hash" "$scratch/$name" | sha256sum --check --status || return 1
  printf '%s\n' "$scratch/$name"
}

# The standard library's source, of exactly the compiler's release; sets std_source.
prepare_std_source() {
  local version hash deb
  if [ -f "$sysroot/lib/rustlib/src/rust/library/Cargo.lock" ]; then # `rustup component add rust-src`
    std_source=$sysroot/lib/rustlib/src/rust/library
    return
  fi
  read -r version hash < <(awk -v release="$release" '$1 == release { print $2, $3 }' "$here/rust-src.pins") \
    || die "no pinned standard library source for rustc $release: use a release of image-build/rust-src.pins (rustup override set), run 'rustup component add rust-src', or add a line there"
  local place=${PRINTERNIZER_RUST_SRC:-/var/tmp/printernizer-rust-src-$release}
  std_source=$place/library
  if [ -e "$place" ] && [ "$(stat -c %u "$place")" -ne "$(id -u)" ]; then
    # Whoever owns it could change what we compile.
    die "$place belongs to somebody else; name another place with PRINTERNIZER_RUST_SRC"
  fi
  [ "$(cat "$place/.sha256" 2>/dev/null)" != "$hash" ] || return 0
  deb=$(find_rust_src "$version" "$hash") \
    || die "cannot get rust-src $version with SHA-256 $hash: put rust-src_${version}_all.deb into PRINTERNIZER_ARMV6_CACHE"
  say "unpacking the standard library's source of rustc $release into $place"
  local unpacked
  unpacked=$(mktemp -d "$place.XXXXXX") # beside it, so that the last step is a rename
  dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner -C "$unpacked" --strip-components=4 "./usr/src/rustc-$release/library"
  printf '%s\n' "$hash" >"$unpacked/.sha256"
  chmod 755 "$unpacked"
  rm -rf "$place"
  mv "$unpacked" "$place"
}

prepare_zig
std_source=
if [ "${PRINTERNIZER_ARMV6_STD:-auto}" = source ] || ! prepare_compiled_std; then
  prepare_std_source
fi
{
  printf '# written by toolchain.sh\n'
  printf 'printernizer_zig=%q\n' "$toolchain/zig/ziglang/zig"
  printf 'printernizer_std_source=%q # empty: the compiled standard library is installed\n' "$std_source"
  printf 'printernizer_rustc=%q\n' "$release"
} >"$scratch/env"
mv "$scratch/env" "$toolchain/env-$target"
say "ready in $toolchain (rustc $release, zig $("$toolchain/zig/ziglang/zig" version), standard library: ${std_source:-compiled, by rustup})"
