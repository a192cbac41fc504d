#!/usr/bin/env bash
# Builds the release programs for the Raspberry Pi Zero: ARMv6, hard float, static musl, panics unwind.
#
# Usage: image-build/build-armv6.sh [PROGRAM ...]   (default: printernizer, and printernizer-init of the card)
# Result: target/armv6/PROGRAM (stripped), checked by check-armv6.sh. The same as build-release.sh armv6.
PRINTERNIZER_PROGRAMS="$*" exec "$(dirname "${BASH_SOURCE[0]}")/build-release.sh" armv6
