#!/usr/bin/env bash
# Installs the real PrusaLink, which the Prusa driver is tested against, into target/prusalink: a Python environment of its
# own with everything pinned by hash (tests/support/prusalink-requirements.txt). Does nothing where it is there already.
#
# Usage: scripts/install-prusalink.sh
# Environment:
#   CARGO_TARGET_DIR   where the tests are built (default: target in the checkout)
#
# Needs Python 3.11 with venv and headers, a C compiler and, from Debian: libcap-dev libmagic1 libturbojpeg0. Talks to the
# Python package index only.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
requirements=$root/tests/support/prusalink-requirements.txt
claim_place prusalink 15

pin=$(sha256sum <"$requirements")
works() { limited 120 "$1/bin/python" -c 'import prusa.link.const, magic, turbojpeg, prctl' >/dev/null; }
if is_pinned "$pin" && works "$place" 2>/dev/null; then
  say "PrusaLink is there already"
  exit 0
fi

python=$(python_311 PrusaLink)

scratch=$(mktemp -d "$target/.prusalink.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
say "installing PrusaLink for $("$python" --version) (some 30 MB from the Python package index)"
limited 120 "$python" -m venv "$scratch/prusalink" || die "cannot make a Python environment: apt-get install python3-venv"
# What builds the packages that come as source must be there before them, and be pinned too.
sed -n '/^\(setuptools\|wheel\)==/,/--hash=/p' "$requirements" >"$scratch/builders.txt"
install() {
  limited "$1" "$scratch/prusalink/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --no-deps --no-build-isolation --root-user-action=ignore --requirement "$2" \
    || die "cannot install $2 from the Python package index, see above"
}
install 300 "$scratch/builders.txt"
install 900 "$requirements"
works "$scratch/prusalink" || die "PrusaLink is installed and does not start: apt-get install libmagic1 libturbojpeg0"
put_in_place "$scratch/prusalink" "$pin"
works "$place" || die "PrusaLink does not work at $place"
say "PrusaLink is installed in $place"
