#!/usr/bin/env bash
# Makes a Debian package of a built program. Needs dpkg-deb; the machine need not be of the package's architecture.
#
# Usage: packaging/build-deb.sh ARCHITECTURE PROGRAM [DIRECTORY]
#   ARCHITECTURE   armhf (a program for ARMv6: Raspberry Pi OS on every Pi, and Debian's armhf), armel, arm64, amd64
#   PROGRAM        the program, static for a release (image-build/build-release.sh)
#   DIRECTORY      where to put the package (default: target/packages)
# Environment:
#   PRINTERNIZER_VERSION   version of the package (default: that of Cargo.toml)
#   PRINTERNIZER_SBOM      the list of what is in the program, from image-build/sbom.py; goes in beside the licence
#   PRINTERNIZER_LICENCES  the licence texts of the crates in the program, from the same script
#   PRINTERNIZER_PACKAGE_COMPRESSION   that of dpkg-deb -Z (default: xz)
#   SOURCE_DATE_EPOCH      the time that all files get (default: that of the last commit)
#
# The same input gives the same bytes. How it behaves is tried by packaging/test-packages.sh.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

[ $# -ge 2 ] && [ $# -le 3 ] || die "usage: build-deb.sh ARCHITECTURE PROGRAM [DIRECTORY]"
architecture=$1 program=$2 directory=${3:-$root/target/packages}
[ -f "$program" ] || die "$program does not exist; build it first"
command -v dpkg-deb >/dev/null || die "no dpkg-deb: apt-get install dpkg"

# A package for one machine with the program of another installs well and never starts.
machine=$(LC_ALL=C od -An -tu1 -j18 -N1 "$program" | tr -d ' ')
case $architecture in
  armhf | armel) [ "$machine" = 40 ] || die "$program is not for 32-bit ARM" ;;
  arm64) [ "$machine" = 183 ] || die "$program is not for 64-bit ARM" ;;
  amd64) [ "$machine" = 62 ] || die "$program is not for x86-64" ;;
  *) die "unknown architecture $architecture; allowed: armhf, armel, arm64, amd64" ;;
esac
version=${PRINTERNIZER_VERSION:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")}
[[ $version =~ ^[0-9][A-Za-z0-9.+~]*$ ]] || die "found the version \"$version\"; allowed: as 0.1.0"
: "${SOURCE_DATE_EPOCH:=$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat -c %Y "$root/Cargo.toml")}"
export SOURCE_DATE_EPOCH

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/tree
put() { install -D --mode="$1" "$2" "$tree/$3"; }
packed() {
  install -d "$(dirname "$tree/$2")"
  gzip --best --no-name --stdout "$1" >"$tree/$2"
  chmod 644 "$tree/$2"
}

put 755 "$program" usr/bin/printernizer
for unit in "$root"/systemd/*.service "$root"/systemd/*.socket; do put 644 "$unit" "usr/lib/systemd/system/$(basename "$unit")"; done
put 644 "$root/systemd/printernizer.sysusers" usr/lib/sysusers.d/printernizer.conf
put 644 "$root/systemd/printernizer.tmpfiles" usr/lib/tmpfiles.d/printernizer.conf
put 644 "$root/systemd/printernizer.preset" usr/lib/systemd/system-preset/80-printernizer.preset
put 644 "$root/systemd/back-off.conf" usr/share/printernizer/back-off.conf
put 644 "$root/packaging/printernizer.toml" etc/printernizer/printernizer.toml
put 755 "$root/packaging/openrc/printernizer" usr/share/doc/printernizer/examples/openrc/printernizer
put 644 "$root/packaging/openrc/printernizer.confd" usr/share/doc/printernizer/examples/openrc/printernizer.confd
packed "$root/CHANGELOG.md" usr/share/doc/printernizer/changelog.gz
packed "$root/docs/operations.md" usr/share/doc/printernizer/operations.md.gz
if [ -n "${PRINTERNIZER_SBOM:-}" ]; then packed "$PRINTERNIZER_SBOM" usr/share/doc/printernizer/printernizer.cdx.json.gz; fi
if [ -n "${PRINTERNIZER_LICENCES:-}" ]; then packed "$PRINTERNIZER_LICENCES" usr/share/doc/printernizer/licences.txt.gz; fi
{
  printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: printernizer\n'
  printf 'Comment: The crates in the program and their licences: licences.txt.gz and printernizer.cdx.json.gz beside this file.\n'
  printf '\nFiles: *\nCopyright: the authors of printernizer\nLicense: MIT or Apache-2.0\n\nLicense: MIT or Apache-2.0\n'
  sed 's/^$/./; s/^/ /' "$root/LICENSE-MIT"
  printf ' .\n On Debian systems the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0.\n'
} >"$scratch/copyright"
put 644 "$scratch/copyright" usr/share/doc/printernizer/copyright

install -d "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: printernizer
Version: $version
Architecture: $architecture
Maintainer: the printernizer project <printernizer@localhost>
Section: net
Priority: optional
Installed-Size: $(du -k --apparent-size --summarize --exclude=DEBIAN "$tree" | cut -f1)
Depends: passwd
Recommends: init-system-helpers
Description: the box beside your 3D printers that never forgets a print
 Watches Bambu Lab and Prusa printers on the local network, records every print with its true start and end, fetches and keeps
 the file of each, books the filament, and shows all of it on one page and one event stream. No cloud account, no database.
CONTROL
printf '/etc/printernizer/printernizer.toml\n' >"$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do install --mode=755 "$root/packaging/debian/$script" "$tree/DEBIAN/$script"; done
(cd "$tree" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
chmod 644 "$tree/DEBIAN/md5sums" "$tree/DEBIAN/control" "$tree/DEBIAN/conffiles"

mkdir -p "$directory"
package=$directory/printernizer_${version}_$architecture.deb
# Modes must not depend on who builds; times are those of the source.
find "$tree" -type d -exec chmod 755 {} +
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group "-Z${PRINTERNIZER_PACKAGE_COMPRESSION:-xz}" --build "$tree" "$package" >/dev/null
say "$package: $(stat -c %s "$package") bytes"
