#!/usr/bin/env bash
# Counts instructions per report, from plaintext to the cell, with callgrind: two runs of different length, and their
# difference over the number of reports between them. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --bench report --no-run >/dev/null 2>&1
binary=$(cargo bench --bench report --no-run 2>&1 | sed -n 's/.*(\(target[^)]*\)).*/\1/p')
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" "$1" "$2" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
for kind in delta full; do
    short=$(count "$kind" 1000)
    long=$(count "$kind" 2000)
    echo "$kind: $(((long - short) / 1000)) instructions a report"
done
