#!/usr/bin/env bash
# Looks at the card in target/image without booting it: reads its partitions, file systems and boot files back from the image;
# looks for what must not be on it; and builds it again from the same packages, which has to give the same bytes.
#
# Usage: image-build/test-image.sh [--once]     (after build-image.sh)
#   --once   leaves out the second build, which takes as long as the first
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
out=$root/target/image name=printernizer-zero
image=$out/$name.img
twice=true
case ${1:-} in
  '') ;;
  --once) twice=false ;;
  *) die "unknown option $1; usage: test-image.sh [--once]" ;;
esac
[ -f "$image" ] || die "no $image: run image-build/build-image.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# --- what is on it ----------------------------------------------------------------------------------------------------------
part() { sfdisk --json "$image" | python3 -c 'import json, sys; part = json.load(sys.stdin)["partitiontable"]["partitions"][int(sys.argv[1]) - 1]; print(part["start"], part["size"])' "$1"; }
extract() {
  local start size
  read -r start size < <(part "$1")
  dd if="$image" of="$scratch/p$1" bs=1M skip=$((start / 2048)) count=$((size / 2048)) status=none
}
for number in 1 2 3 4; do extract "$number"; done
cmp "$scratch/p2" "$scratch/p3" || die "the two systems of a fresh card differ"
e2fsck -f -n "$scratch/p4" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; die "the data partition is not clean"; }
# Room for the group tables of a card of 512 GiB: 8 GiB each.
reserved=$(dumpe2fs -h "$scratch/p4" 2>/dev/null | awk '/^Reserved GDT blocks:/ { print $4 }')
[ "${reserved:-0}" -ge 63 ] || die "the data partition has room for the tables of $(((${reserved:-0} + 1) * 8)) GiB only"
for file in bootcode.bin start_cd.elf fixup_cd.dat config.txt cmdline.txt kernel.img initrd.img bcm2835-rpi-zero.dtb bcm2835-rpi-zero-w.dtb printernizer.toml; do
  mdir -i "$scratch/p1" "::$file" >/dev/null 2>&1 || die "the boot partition has no $file"
done
# The firmware looks for names that config.txt gives.
for file in $(mtype -i "$scratch/p1" ::config.txt | tr -d '\r' | sed -n -e 's/^kernel=//p' -e 's/^device_tree=//p' -e 's/^initramfs \([^ ]*\).*/\1/p'); do
  mdir -i "$scratch/p1" "::$file" >/dev/null 2>&1 || die "config.txt names $file, which is not there"
done
unsquashfs -quiet -no-progress -dest "$scratch/system" "$scratch/p2" >/dev/null 2>&1 || die "a system cannot be read back"
system=$scratch/system
for program in sh bash dash busybox login su sudo sshd dropbear getty agetty dpkg apt-get apt curl wget perl python3 telnetd; do
  [ -z "$(find "$system/usr/bin" "$system/usr/sbin" -name "$program" -print -quit)" ] || die "there is a $program on the card"
done
! find "$system" -perm /6000 -print -quit | grep -q . || die "a program on the card has more rights than its caller"
awk -F: '$2 != "*" { wrong = 1 } END { exit wrong }' "$system/etc/passwd" || die "somebody on the card has a password, or needs none"
[ ! -e "$system/etc/shadow" ] || die "there is a file of passwords on the card"
[ ! -s "$system/etc/machine-id" ] || die "the machine's id is made in the image"
! grep -rlE -- '-----BEGIN [A-Z ]*PRIVATE KEY' "$system" >/dev/null 2>&1 || die "there is a private key on the card"
# Every unit that is wanted, required or named by a link is there.
find "$system/usr/lib/systemd/system" -xtype l -print | sed "s|^$system||" >"$scratch/dangling"
[ ! -s "$scratch/dangling" ] || { cat "$scratch/dangling" >&2; die "links among the units lead nowhere"; }
image_bytes=$(stat -c %s "$image")
[ "$image_bytes" -lt 160000000 ] || die "the image has $image_bytes bytes, 160 MB are allowed"
if [ -f "$image.xz" ]; then
  packed=$(stat -c %s "$image.xz")
  [ "$packed" -lt 25000000 ] || die "the packed image has $packed bytes, 25 MB are allowed"
  xz --decompress --stdout "$image.xz" | cmp - "$image" || die "the packed image holds another one"
  say "image $image_bytes bytes, packed $packed"
fi
[ ! -f "$image.xz" ] || (cd "$out" && grep -E "^[0-9a-f]{64} [0-9]+ $name\.img" "$name.manifest.txt" | awk '{ print $1 "  " $3 }' | sha256sum --check --quiet) \
  || die "the manifest tells other hashes than the files have"
python3 -c 'import json, sys; bill = json.load(open(sys.argv[1])); assert bill["bomFormat"] == "CycloneDX" and len(bill["components"]) > 100' "$out/$name.sbom.json" \
  || die "the bill of materials is no such thing"
say "the card holds what it should and nothing that it must not"

# --- the same bytes again ---------------------------------------------------------------------------------------------------
$twice || exit 0
mkdir "$scratch/first"
mv "$image" "$out/$name.sbom.json" "$out/$name.manifest.txt" "$scratch/first"
[ ! -f "$image.xz" ] || mv "$image.xz" "$scratch/first"
status=0
# What a caller may have set must not get into it.
(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 PRINTERNIZER_IMAGE_LOCKED=1 "$root/image-build/build-image.sh" --no-xz) >"$scratch/log" 2>&1 || status=$?
mkdir "$scratch/second"
mv "$out/$name".* "$scratch/second" 2>/dev/null || true
mv "$scratch/first/$name".* "$out"
[ "$status" -eq 0 ] || { tail -n 20 "$scratch/log" >&2; die "the second build failed"; }
for file in "$name.img" "$name.sbom.json"; do
  cmp "$out/$file" "$scratch/second/$file" || die "two builds from the same inputs differ in $file"
done
# The packed image is not made again; its line is the only difference.
cmp <(grep -v "$name\.img\.xz$" "$out/$name.manifest.txt") "$scratch/second/$name.manifest.txt" || die "two manifests from the same inputs differ"
say "two builds from the same inputs are the same, byte for byte"
