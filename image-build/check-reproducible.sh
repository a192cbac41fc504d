#!/usr/bin/env bash
# Proves that a release build is reproducible: the committed source, unpacked into two folders of different names and lengths, gives
# the same bytes, its list of parts and its package included. Two whole builds, so it is run by hand, before a release.
#
# Usage: image-build/check-reproducible.sh [NAME]     (of build-release.sh; default: x86_64)
# Result: target/reproducible/NAME, the program
# Environment: as build-release.sh. Shorter, for a change of the scripts: CARGO_PROFILE_RELEASE_LTO=off
#   CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
name=${1:-x86_64}
export PRINTERNIZER_ARMV6_TOOLCHAIN=${PRINTERNIZER_ARMV6_TOOLCHAIN:-$root/target/armv6-toolchain}
SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
[ -z "$(git -C "$root" status --porcelain)" ] || say "the work tree has changes; what is committed is built"

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/printernizer-reproducible.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mask=0022
for folder in a 'a folder/with a longer name'; do
  mkdir -p "$scratch/$folder"
  git -C "$root" archive HEAD | tar -x -C "$scratch/$folder"
  say "building in $scratch/$folder"
  (umask "$mask" && "$scratch/$folder/image-build/build-release.sh" --packages "$name") || die "the build failed, see above"
  rm -rf "$scratch/$folder/target/$name/"*/ # the parts; the results stay
  mask=0077
done
cd "$scratch"
for file in "target/$name/printernizer" "target/$name/printernizer-init" "target/$name/printernizer.cdx.json" "target/$name/licences.txt"; do
  # The card's first program is made for the card alone.
  if [ "$file" = "target/$name/printernizer-init" ] && [ "$name" != armv6 ]; then continue; fi
  cmp "a/$file" "a folder/with a longer name/$file" || die "$file differs"
  say "$(sha256sum "a/$file" | cut -c1-64)  $file, the same in both"
done
for package in a/target/packages/*.deb; do
  [ -e "$package" ] || continue
  cmp "$package" "a folder/with a longer name/${package#a/}" || die "${package#a/} differs"
  say "$(sha256sum "$package" | cut -c1-64)  ${package#a/}, the same in both"
done
install -D "a/target/$name/printernizer" "$root/target/reproducible/$name"
