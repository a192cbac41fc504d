#!/usr/bin/env bash
# Builds the card for a Raspberry Pi Zero or Zero W: from Debian's packages, the program and image-build/card to one file that is
# written to an SD card as it is. No root, no loop device, no mount; nothing of the packages is run.
#
# Usage: image-build/build-image.sh [--no-xz]
#   --no-xz   leaves out the compressed file, which takes half a minute
# Needs target/armv6/printernizer and target/armv6/printernizer-init (image-build/build-armv6.sh).
# Result in target/image: printernizer-zero.img, .img.xz, .manifest.txt (what went in and what came out, with hashes),
# .sbom.json (bill of materials, CycloneDX).
# Environment:
#   SOURCE_DATE_EPOCH           time of everything in it, and the earliest time that the card believes (default: the last commit's)
#   PRINTERNIZER_IMAGE_MIRROR   Debian archive (default: the one that this machine's apt uses, else deb.debian.org)
#   PRINTERNIZER_IMAGE_CACHE    where packages are kept between builds (default: target/image-cache)
#   PRINTERNIZER_IMAGE_LOCKED   1: take exactly the packages in the cache and ask no archive
#   PRINTERNIZER_IMAGE_PROGRAMS       directory of the two programs (default: target/armv6)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
here=$root/image-build card=$root/image-build/card
export PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C TZ=UTC
umask 022

compress=true
case ${1:-} in
  '') ;;
  --no-xz) compress=false ;;
  *) die "unknown option $1; usage: build-image.sh [--no-xz]" ;;
esac

out=$root/target/image
cache=${PRINTERNIZER_IMAGE_CACHE:-$root/target/image-cache}
programs=${PRINTERNIZER_IMAGE_PROGRAMS:-$root/target/armv6}
name=printernizer-zero
suite=bookworm
started=$SECONDS

for tool in apt-get:apt dpkg-deb:dpkg mksquashfs:squashfs-tools mkfs.ext4:e2fsprogs mkfs.vfat:dosfstools mcopy:mtools \
  sfdisk:fdisk cpio:cpio zstd:zstd xz:xz-utils modprobe:kmod depmod:kmod readelf:binutils python3:python3; do
  command -v "${tool%%:*}" >/dev/null || die "no ${tool%%:*}: apt-get install ${tool##*:}"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keyring" ] || die "no $keyring: apt-get install debian-archive-keyring"
for program in printernizer printernizer-init; do
  [ -f "$programs/$program" ] || die "no $programs/$program: run image-build/build-armv6.sh"
  "$here/check-armv6.sh" "$programs/$program"
done
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || true)}
[[ $epoch =~ ^[0-9]+$ ]] || die "no SOURCE_DATE_EPOCH, and no commit to take it from"
export SOURCE_DATE_EPOCH=$epoch

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$out" "$cache" "$scratch"/{packages,root,first}

# --- packages ------------------------------------------------------------------------------------------------------------

# An apt of its own: another architecture, no configuration of this machine, the same check of signatures.
prepare_apt() {
  local mirror=${PRINTERNIZER_IMAGE_MIRROR:-$(debian_mirror)} apt=$scratch/apt
  mirror=${mirror:-http://deb.debian.org/debian}
  mkdir -p "$apt"/{lists/partial,cache/archives/partial,state,none}
  : >"$apt/status"
  {
    printf 'deb [arch=armel signed-by=%s] %s %s main non-free-firmware\n' "$keyring" "$mirror" "$suite"
    printf 'deb [arch=armel signed-by=%s] %s %s-updates main non-free-firmware\n' "$keyring" "$mirror" "$suite"
    case $mirror in
      */debian) printf 'deb [arch=armel signed-by=%s] %s-security %s-security main non-free-firmware\n' "$keyring" "$mirror" "$suite" ;;
    esac
  } >"$apt/sources.list"
  cat >"$apt/apt.conf" <<CONF
APT::Architecture "armel";
APT::Architectures { "armel"; };
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/none";
Dir::Etc::parts "$apt/none";
Dir::Etc::preferencesparts "$apt/none";
Dir::State "$apt/state";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
CONF
  export APT_CONFIG=$apt/apt.conf
  say "package lists of $suite (armel) from $mirror"
  limited 180 apt-get -qq update >"$scratch/apt.log" 2>&1 || { tail -n 5 "$scratch/apt.log" >&2; die "apt-get update failed"; }
}

# Leaves the wanted packages in $cache and their names in $scratch/debs.
fetch_packages() {
  local wanted kernel
  prepare_apt
  kernel=$(apt-cache depends linux-image-rpi 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }')
  [ -n "$kernel" ] || die "the archive has no linux-image-rpi"
  mapfile -t wanted < <(sed -e 's/#.*//' -e '/^ *$/d' -e "s/^kernel\$/$kernel/" "$card/packages.txt")
  # apt takes what is in the cache already if its hash is right.
  (cd "$cache" && limited 420 apt-get -qq download "${wanted[@]}" >"$scratch/apt.log" 2>&1) \
    || { tail -n 5 "$scratch/apt.log" >&2; die "the packages cannot be fetched"; }
  apt-get -qq --print-uris download "${wanted[@]}" 2>/dev/null | awk '{ print $2 }' | sort >"$scratch/debs"
  [ "$(wc -l <"$scratch/debs")" -eq "${#wanted[@]}" ] || die "apt names $(wc -l <"$scratch/debs") packages instead of ${#wanted[@]}"
}

section 'packages'
if [ "${PRINTERNIZER_IMAGE_LOCKED:-}" = 1 ]; then
  [ -f "$cache/used" ] || die "PRINTERNIZER_IMAGE_LOCKED=1, but no build has filled $cache"
  cp "$cache/used" "$scratch/debs"
else
  fetch_packages
  cp "$scratch/debs" "$cache/used"
fi
while read -r deb; do
  dpkg-deb --extract "$cache/$deb" "$scratch/packages" || die "$deb cannot be unpacked"
done <"$scratch/debs"
kernel=$(cd "$scratch/packages/lib/modules" && echo *)
[ -d "$scratch/packages/lib/modules/$kernel" ] || die "there must be exactly one kernel, found: $kernel"
say "$(wc -l <"$scratch/debs") packages, kernel $kernel"

# --- trees ---------------------------------------------------------------------------------------------------------------

section 'system'
depmod --basedir "$scratch/packages" "$kernel"
"$here/make-root.py" --card "$card" --packages "$scratch/packages" --kernel "$kernel" --root "$scratch/root" --first "$scratch/first" \
  --repository "$root" --program "$programs/printernizer" --epoch "$epoch"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
commit=$(git -C "$root" describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
cat >"$scratch/root/etc/os-release" <<OS
PRETTY_NAME="printernizer $version"
NAME="printernizer"
ID=printernizer
ID_LIKE=debian
VERSION_ID="$version"
BUILD_ID="$commit"
OS
mkdir -p "$scratch/root/usr/share/printernizer"
cp "$card/boot/printernizer.toml" "$scratch/root/usr/share/printernizer/printernizer.toml"
find "$scratch/root" -newermt "@$epoch" -exec touch --no-dereference --date="@$epoch" {} +
say "$(du -sm --apparent-size "$scratch/root" | cut -f1) MB in $(find "$scratch/root" -type f | wc -l) files"

# The size of a part of the card in MiB, by its name in partitions.txt.
mib() { awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }' "$card/partitions.txt" || die "no $1 in partitions.txt"; }

# zstd: a slow processor unpacks it fast. Everything belongs to root.
limited 300 env -u SOURCE_DATE_EPOCH mksquashfs "$scratch/root" "$scratch/system.squashfs" -comp zstd -Xcompression-level 19 -b 128K -all-root -no-xattrs \
  -noappend -no-progress -quiet -mkfs-time "$epoch" -all-time "$epoch" -processors 2 >"$scratch/log" 2>&1 \
  || { cat "$scratch/log" >&2; die "mksquashfs failed"; }
system_bytes=$(stat -c %s "$scratch/system.squashfs")
[ "$system_bytes" -le $(($(mib system-a) * 1048576)) ] || die "the system has $system_bytes bytes and does not fit its slot"
say "one system: $system_bytes bytes"

# What the kernel starts from memory: the first program, and the modules that reading a system needs.
install -m 755 "$programs/printernizer-init" "$scratch/first/init"
mkdir "$scratch/first/dev"
find "$scratch/first" -exec touch --no-dereference --date="@$epoch" {} +
(cd "$scratch/first" && find . | sort | cpio --create --format=newc --owner=0:0 --reproducible --quiet) | zstd -19 --quiet >"$scratch/initrd.img"

# --- partitions ----------------------------------------------------------------------------------------------------------

section 'card'
fat=$scratch/boot.fat
truncate -s "$(mib boot)M" "$fat"
mkfs.vfat --invariant -F 16 -n PRINTERNIZE -i 50524e5a "$fat" >/dev/null
firmware=$scratch/packages/usr/lib/raspi-firmware
mkdir "$scratch/fat"
cp "$firmware"/{bootcode.bin,start_cd.elf,fixup_cd.dat} "$card/boot/"{config.txt,cmdline.txt,printernizer.toml} "$scratch/initrd.img" "$scratch/fat"
cp "$scratch/packages/boot/vmlinuz-$kernel" "$scratch/fat/kernel.img"
cp "$scratch/packages/usr/lib/linux-image-$kernel/"bcm2835-rpi-zero{,-w}.dtb "$scratch/fat"
# Notepad of old wants it so, and nobody else minds.
sed -i 's/$/\r/' "$scratch/fat/printernizer.toml"
touch --date="@$epoch" "$scratch/fat"/*
# config.txt first: its sector then never moves.
(cd "$scratch/fat" && mcopy -m -i "$fat" config.txt cmdline.txt bootcode.bin start_cd.elf fixup_cd.dat initrd.img kernel.img ./*.dtb printernizer.toml ::)

# Made once, the same on every card but for the place that growing adds. The inodes are for a card of 2 GB and more; the tables of
# its groups have room for 512 GiB (resize, in blocks), without which growing would end at 32 GiB or change the tables' kind.
truncate -s "$(mib data)M" "$scratch/data.ext4"
E2FSPROGS_FAKE_TIME=$epoch mkfs.ext4 -q -L data -m 0 -b 4096 -i 16384 -J size=4 -O '^metadata_csum_seed,^orphan_file' \
  -U 7072696e-7465-726e-697a-657264617461 -E "lazy_itable_init=0,hash_seed=7072696e-7465-726e-697a-657273656564,root_owner=0:0,resize=134217728" "$scratch/data.ext4"

image=$out/$name.img
total=0 layout=$'label: dos\nlabel-id: 0x5a4e5250\n'
rm -f "$image"
while read -r part size type content; do
  if [ "$content" != records ]; then
    layout+="start=$((total * 2048)), size=$((size * 2048)), type=$type$([ "$part" != boot ] || echo ', bootable')"$'\n'
  fi
  total=$((total + size))
done < <(sed -e 's/#.*//' -e '/^ *$/d' "$card/partitions.txt")
truncate -s "${total}M" "$image"
printf '%s' "$layout" | sfdisk --quiet "$image"
at=0
while read -r part size type content; do
  case $content in
    fat) file=$fat ;;
    system) file=$scratch/system.squashfs ;;
    ext4) file=$scratch/data.ext4 ;;
    *) file= ;;
  esac
  [ -z "$file" ] || dd if="$file" of="$image" bs=1M seek="$at" conv=notrunc,sparse status=none
  at=$((at + size))
done < <(sed -e 's/#.*//' -e '/^ *$/d' "$card/partitions.txt")
say "$image: $((total * 1048576)) bytes"

if $compress; then
  # The second system is found again in a dictionary that reaches back to the first.
  limited 600 xz --keep --force --threads=1 --check=crc64 --lzma2=preset=6,dict=64MiB "$image" || die "xz failed"
  say "$image.xz: $(stat -c %s "$image.xz") bytes"
else
  rm -f "$image.xz"
fi

"$here/make-manifest.py" --out "$out/$name" --image "$image" --cache "$cache" --debs "$scratch/debs" --root "$scratch/root" --fat "$scratch/fat" \
  --system "$scratch/system.squashfs" --repository "$root" --kernel "$kernel" --version "$version" --commit "$commit" --epoch "$epoch"
section_end
say "done in $((SECONDS - started)) s"
