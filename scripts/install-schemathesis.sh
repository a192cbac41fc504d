#!/usr/bin/env bash
# Installs Schemathesis, which tries the API against its description, into target/schemathesis: a Python environment of its own
# with everything pinned by hash (tests/support/schemathesis-requirements.txt). Does nothing where it is there already.
#
# Usage: scripts/install-schemathesis.sh
# Environment:
#   CARGO_TARGET_DIR   where the tests are built (default: target in the checkout)
#
# Needs Python 3.11 with venv. Talks to the Python package index only.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
requirements=$root/tests/support/schemathesis-requirements.txt
claim_place schemathesis 15

pin=$(sha256sum <"$requirements")
works() { limited 120 "$1/bin/python" -c 'import schemathesis' >/dev/null; }
if is_pinned "$pin" && works "$place" 2>/dev/null; then
  say "Schemathesis is there already"
  exit 0
fi

python=$(python_311 Schemathesis)

scratch=$(mktemp -d "$target/.schemathesis.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
say "installing Schemathesis for $("$python" --version) (some 20 MB from the Python package index)"
limited 120 "$python" -m venv "$scratch/schemathesis" || die "cannot make a Python environment: apt-get install python3-venv"
limited 600 "$scratch/schemathesis/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
  --no-deps --only-binary :all: --root-user-action=ignore --requirement "$requirements" \
  || die "cannot install $requirements from the Python package index, see above"
works "$scratch/schemathesis" || die "Schemathesis is installed and does not start"
put_in_place "$scratch/schemathesis" "$pin"
works "$place" || die "Schemathesis does not work at $place"
say "Schemathesis is installed in $place"
