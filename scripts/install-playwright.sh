#!/usr/bin/env bash
# Installs what drives the browser in the test of the page into target/playwright: playwright-core and axe-core, pinned with
# their hashes (tests/page/package-lock.json). It brings no browser; the test uses Debian's. Does nothing where it is there.
#
# Usage: scripts/install-playwright.sh
# Environment:
#   CARGO_TARGET_DIR   where the tests are built (default: target in the checkout)
#
# Needs Node.js and npm. Talks to the npm registry only; no script of a package is run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
claim_place playwright 5

pin=$(sha256sum <"$root/tests/page/package-lock.json")
if is_pinned "$pin" && [ -e "$place/node_modules/playwright-core/package.json" ]; then
  say "playwright-core is there already"
  exit 0
fi
command -v npm >/dev/null || die "no npm: apt-get install npm"

scratch=$(mktemp -d "$target/.playwright.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
say "installing playwright-core and axe-core (some 5 MB from the npm registry)"
cp "$root/tests/page/package.json" "$root/tests/page/package-lock.json" "$scratch"
(cd "$scratch" && limited 300 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) \
  || die "cannot install from the npm registry, see above"
put_in_place "$scratch" "$pin"
trap - EXIT
say "playwright-core is installed in $place"
