#!/usr/bin/env bash
# Twenty power cuts at random moments of prints, with the card of target/image in an emulated board. Takes about half an hour.
#
# Usage: image-build/power-cuts.sh [COUNT]     (default: 20)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
count=${1:-20}
[[ $count =~ ^[0-9]+$ ]] || die "usage: power-cuts.sh [COUNT]"
limited $((600 + count * 600)) "$root/image-build/boot-test.py" --only cuts --cuts "$count"
