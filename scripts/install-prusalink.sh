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
target=${CARGO_TARGET_DIR:-$root/target}

mkdir -p "$target"
target=$(cd "$target" && pwd)
place=$target/prusalink
# Two runs at once must not install into the same place. The other one needs a minute at most.
exec 9>"$target/.prusalink.lock"
flock --wait 900 9 || die "another run has been preparing $place for 15 minutes; end it or remove $place"

pin=$(sha256sum <"$requirements")
works() { limited 120 "$1/bin/python" -c 'import prusa.link.const, magic, turbojpeg, prctl' >/dev/null; }
if [ "$(cat "$place/.requirements" 2>/dev/null)" = "$pin" ] && works "$place" 2>/dev/null; then
  say "PrusaLink is there already"
  exit 0
fi

python=
for candidate in python3.11 python3; do
  if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ]; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || die "no Python 3.11, for which PrusaLink is pinned: apt-get install python3.11"

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
printf '%s\n' "$pin" >"$scratch/prusalink/.requirements"
rm -rf "$place"
mv "$scratch/prusalink" "$place"
works "$place" || die "PrusaLink does not work at $place"
say "PrusaLink is installed in $place"
