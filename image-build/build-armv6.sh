#!/usr/bin/env bash
# Builds the release program for the Raspberry Pi Zero: ARMv6, hard float, static musl, panics unwind.
#
# Usage: image-build/build-armv6.sh
# Result: target/armv6/printernizer (stripped), checked by check-armv6.sh. The same as build-release.sh armv6.
exec "$(dirname "${BASH_SOURCE[0]}")/build-release.sh" armv6
