#!/usr/bin/env bash
# Measures what open pages cost the service: memory and processor time with eight simulated printers and none, then with twelve
# pages in browsers of their own, so that each has its own event stream.
#
# Usage: scripts/measure-page.sh [OPTIONS]
# Options:
#   --programs DIR   where printernizer, demo and simulator are (default: target/release; build them with
#                    cargo build --release --workspace)
#   --viewers N      how many pages (default 12)
#   --seconds N      how long it is watched with all of them open (default 30)
#   --max-rss KIB    end with exit code 1 when VmHWM (the highest resident size ever) is above this
#
# Needs Chromium and Node.js (Debian: apt-get install chromium nodejs), and what scripts/install-playwright.sh installs. Nothing
# but the loopback is used, and nothing is left behind. The browsers work on the same machine and take their share of it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

target=${CARGO_TARGET_DIR:-$root/target}
programs=$target/release viewers=12 seconds=30 most=0
while [ $# -gt 0 ]; do
  case $1 in
    --programs) programs=${2:-} ;;
    --viewers | --seconds | --max-rss)
      [[ ${2:-} =~ ^[0-9]{1,6}$ ]] || die "$1 needs a whole number"
      case $1 in
        --viewers) viewers=$2 ;;
        --seconds) seconds=$2 ;;
        --max-rss) most=$2 ;;
      esac
      ;;
    *) die "usage: measure-page.sh [--programs DIR] [--viewers N] [--seconds N] [--max-rss KIB]" ;;
  esac
  shift 2
done
for one in printernizer demo simulator; do
  [ -x "$programs/$one" ] || die "$programs/$one is not there: cargo build --release --workspace"
done
[ -e "$target/playwright/node_modules/playwright-core/package.json" ] || die "no playwright-core: scripts/install-playwright.sh"

ends_clean

port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"$programs/demo" --service "$programs/printernizer" --simulator "$programs/simulator" --printers 6 --prusa 2 --port "$port" \
  --seconds $((seconds + 600)) >"$scratch/demo.log" 2>&1 </dev/null &
process=$!
limit=$((SECONDS + 60))
until pid=$(sed -n 's/^printernizer is process \([0-9]*\),.*/\1/p' "$scratch/demo.log") && [ -n "$pid" ]; do
  if ! kill -0 "$process" 2>/dev/null || [ "$SECONDS" -gt "$limit" ]; then
    tail -n 5 "$scratch/demo.log" >&2
    die "the demo did not start, see above"
  fi
  sleep 0.2
done
page=$(sed -n 's!^ *\(http://127.0.0.1:[0-9]*\)/$!\1!p' "$scratch/demo.log" | head -n 1)
say "process $pid at $page: $viewers pages"
limited $((seconds + 300)) node "$root/tests/page/viewers.mjs" \
  "{\"page\":\"$page\",\"pid\":$pid,\"tools\":\"$(cd "$target" && pwd)/playwright\",\"viewers\":$viewers,\"seconds\":$seconds,\"most\":$most}"
