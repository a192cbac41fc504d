#!/usr/bin/env bash
# Runs every test of the project, after installing what the tests need. This is the definition of done; .ci/run calls it.
#
# Usage: scripts/test.sh [--quick | --long] [--no-install]
#   --quick        leaves out what is made for the Raspberry Pi Zero: the programs and their self-test under QEMU, the card and its
#                  life in an emulated board
#   --long         builds the card a second time, which has to give the same bytes, and pulls the plug ten times instead of three
#   --no-install   installs nothing; a missing tool then ends the run with the name of its Debian package
#
# Needs Rust (with rustfmt and clippy) and, for installing, Debian's apt as root or through sudo. It talks to the package
# registries and to loopback only. A missing tool fails the run, it is never a reason to skip a test.
# Every step has a deadline, and so has the whole run (75 minutes); it takes about 50 on two cores from nothing, 20 of them in the emulated board.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
cd "$root"

quick=false long=false install=true
for argument in "$@"; do
  case $argument in
    --quick) quick=true ;;
    --long) long=true ;;
    --no-install) install=false ;;
    *) die "unknown option $argument; usage: scripts/test.sh [--quick | --long] [--no-install]" ;;
  esac
done

# Build servers end a run at 90 minutes without telling where it stood; this one ends earlier and tells.
: "${PRINTERNIZER_DEADLINE:=$(($(date +%s) + 4500))}"
export PRINTERNIZER_DEADLINE

# Debian keeps servers such as mosquitto here, outside the PATH of ordinary users.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
if [ "${CI:-}" = true ]; then export CARGO_INCREMENTAL=0; fi # a fresh clone is built once

# --- tools ---------------------------------------------------------------------------------------------------------------

# What the tests run, and the Debian packages that bring it.
tools=(
  'cc gcc libc6-dev'      # ring is C and assembly
  'mosquitto mosquitto'   # the real broker that the MQTT driver is tested against
  'vsftpd vsftpd'         # the real server that the FTPS client is tested against
  'openssl openssl'       # certificates as printers have them, and a TLS peer that is not ours
  'ip iproute2'           # networks of the tests' own, joined by cables
  'unshare util-linux'    # the same
  'shellcheck shellcheck' # these scripts
  # The page in a real browser; scripts/install-playwright.sh.
  'chromium chromium'
  'font fonts-dejavu-core' # without any, a browser measures nothing
  'node nodejs'
  'npm npm'
  # Schemathesis, which tries the API (scripts/install-schemathesis.sh), and
  # the real PrusaLink, a Python program, that the Prusa driver is tested against; scripts/install-prusalink.sh.
  'venv python3-venv'
  'python-headers python3-dev'
  'libcap-headers libcap-dev'
  'libmagic libmagic1'
  'libturbojpeg libturbojpeg0'
  # A small Debian of its own with systemd as process 1; packaging/test-packages.sh.
  'mmdebstrap mmdebstrap'
  'systemd-nspawn systemd-container'
  'systemd-analyze systemd'
  'strip binutils'
  'curl curl'
)
if ! $quick; then
  tools+=(
    'qemu-arm-static|qemu-arm qemu-user-static' # an emulated ARM1176
    'readelf binutils'                          # what the ARMv6 program is made of
    'pip python3-pip'                           # brings Zig, the C compiler for ARMv6
    # The card for a Raspberry Pi Zero, and an emulated one to boot it.
    'qemu-system-arm qemu-system-arm'
    'mksquashfs squashfs-tools'
    'mkfs.vfat dosfstools'
    'mkfs.ext4 e2fsprogs'
    'mcopy mtools'
    'sfdisk fdisk'
    'modprobe kmod'
    'cpio cpio'
    'zstd zstd'
    'xz xz-utils'
    'debian-keyring debian-archive-keyring'
  )
fi
# Servers that their package starts at once. The tests start their own, on free ports.
services=(mosquitto vsftpd)

have() {
  case $1 in
    font) compgen -G '/usr/share/fonts/*/*/*.[to]t[fc]' >/dev/null ;;
    pip) python3 -m pip --version >/dev/null 2>&1 ;;
    venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    python-headers) test -e "$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["include"])' 2>/dev/null)/Python.h" ;;
    debian-keyring) test -e /usr/share/keyrings/debian-archive-keyring.gpg ;;
    libcap-headers) test -e /usr/include/sys/capability.h ;;
    libmagic) has_library libmagic.so.1 ;;
    libturbojpeg) has_library libturbojpeg.so.0 ;;
    *'|'*) command -v "${1%%|*}" >/dev/null || command -v "${1##*|}" >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

has_library() { ldconfig -p | grep -q "[[:space:]]$1 "; }

missing_packages() {
  local tool command packages
  for tool in "${tools[@]}"; do
    read -r command packages <<<"$tool"
    # shellcheck disable=SC2086 # one line for each package
    have "$command" || printf '%s\n' $packages
  done
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    command -v sudo >/dev/null || die "not root and no sudo: run as root: $*"
    sudo --non-interactive "$@" || sudo "$@"
  fi
}

install_packages() {
  local service
  command -v apt-get >/dev/null || die "missing $*: this is no Debian, install them in its own way and say --no-install"
  say "installing from Debian: $*"
  as_root timeout --kill-after=30 300 apt-get -qq update </dev/null \
    || say "apt-get update failed, going on with the package lists at hand"
  as_root env DEBIAN_FRONTEND=noninteractive timeout --kill-after=30 900 \
    apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends "$@" </dev/null >"$scratch/apt.log" 2>&1 \
    || { tail -n 20 "$scratch/apt.log" >&2; die "apt-get install $* failed, see above"; }
  # Only what was not there before is stopped: a broker that the machine's owner runs is not ours to end.
  for service in "${services[@]}"; do
    [[ " $* " == *" $service "* ]] || continue
    if [ -d /run/systemd/system ]; then
      as_root systemctl disable --now "$service" >/dev/null 2>&1 || die "cannot stop the service $service that its package started"
    elif command -v invoke-rc.d >/dev/null; then
      as_root invoke-rc.d --quiet "$service" stop >/dev/null 2>&1 || true # without systemd most machines never started it
    fi
    say "the package's own service $service is off; the tests start theirs"
  done
}

# --- steps ---------------------------------------------------------------------------------------------------------------

# ring is the only provider of cryptography: a second one costs more than a megabyte on the board, and which of the two a
# connection uses would be an accident. Crates switch aws-lc-rs on by default, so this is asked on every run.
check_crypto_provider() {
  local tree=(cargo tree --locked --workspace --target all --edges 'normal,build,dev' --prefix none) status=0 package
  # The question must be able to find something, else its "nothing" says nothing.
  limited 300 "${tree[@]}" --invert ring >"$scratch/ring" || die "cargo tree does not work, see above"
  grep -q '^ring v' "$scratch/ring" || die "ring is not in the tree; which provider of cryptography is used?"
  for package in aws-lc-rs openssl-sys; do
    status=0
    limited 300 "${tree[@]}" --invert "$package" >"$scratch/tree" 2>"$scratch/tree.err" || status=$?
    if [ -s "$scratch/tree" ]; then
      cat "$scratch/tree" >&2
      die "$package is in the tree, see above; ring is to be the only provider of cryptography"
    fi
    # Two ways to say "nothing": the lock file does not know the package, or no member uses it.
    if [ "$status" -ne 0 ] && ! grep -q 'did not match any packages' "$scratch/tree.err"; then
      cat "$scratch/tree.err" >&2
      die "cargo tree failed for another reason than that $package is absent, see above"
    fi
    say "$package is not in the tree"
  done
}

run_tests() {
  local status=0
  # Output goes to the screen and to a file for the count at the end.
  limited "${PRINTERNIZER_TEST_SECONDS:-2700}" cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$scratch/tests" || status=$?
  [ "$status" -eq 0 ] || die "tests failed, see above"
}

# Adds up the closing lines of all test programs, in the form that build servers read.
count_tests() {
  awk '/^test result:/ {
         for (i = 2; i <= NF; i++) {
           if ($i ~ /^passed/) passed += $(i - 1)
           if ($i ~ /^failed/) failed += $(i - 1)
           if ($i ~ /^ignored/) ignored += $(i - 1)
         }
       }
       END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$scratch/tests"
}

# --- the run -------------------------------------------------------------------------------------------------------------

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
command -v cargo >/dev/null || die "no cargo: install Rust (https://rustup.rs)"

section 'tools'
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
  $install || die "missing: apt-get install ${missing[*]}"
  install_packages "${missing[@]}"
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -eq 0 ] || die "still missing after their installation: ${missing[*]}"
fi
say "$(rustc --version), $(cargo --version), all tools are there"

section 'PrusaLink'
scripts/install-prusalink.sh || die "the real PrusaLink cannot be installed, see above"

section 'Schemathesis'
scripts/install-schemathesis.sh || die "Schemathesis cannot be installed, see above"

section 'Playwright'
scripts/install-playwright.sh || die "what drives the browser cannot be installed, see above"

section 'scripts'
limited 120 shellcheck --severity=warning --external-sources --source-path="$root" \
  scripts/*.sh image-build/*.sh image-build/zig-cc image-build/zig-ar packaging/*.sh packaging/debian/* .ci/run \
  || die "shellcheck found faults, see above"

section 'crates'
limited 900 cargo fetch --locked || die "cannot fetch the crates, or Cargo.lock does not fit the manifests"
check_crypto_provider

section 'format'
limited 120 cargo fmt --all --check || die "run cargo fmt"

section 'lints'
limited 1800 cargo clippy --locked --workspace --all-targets -- -D warnings || die "clippy found faults, see above"

section 'tests'
run_tests

section 'packages and systemd'
as_root packaging/test-scripts.sh || die "the package's scripts are faulty, see above"
as_root packaging/test-packages.sh || die "the packages or the units are faulty, see above"

if $quick; then
  section_end
  say "left out by --quick: the programs for ARMv6 and the card"
else
  section 'ARMv6 build'
  image-build/build-armv6.sh || die "the build for the Raspberry Pi Zero failed, see above"
  section 'ARMv6 self-test'
  image-build/test-check-armv6.sh || die "the ARMv6 checks do not work, see above"
  image-build/self-test-armv6.sh || die "the self-test on ARMv6 failed, see above"
  section 'card'
  limited 900 image-build/build-image.sh || die "the card cannot be built, see above"
  if $long; then look=() cuts=10; else look=(--once) cuts=3; fi
  limited 900 image-build/test-image.sh "${look[@]}" || die "the card is not what it should be, see above"
  section 'card, boot test'
  limited 600 cargo build --locked --package simulator || die "the simulator cannot be built, see above"
  # About twenty minutes of one core; a hang must not take the whole run's time.
  limited $((2100 + cuts * 120)) image-build/boot-test.py --cuts "$cuts" || die "the card does not work in the emulated board, see above"
fi
section_end

total=$(count_tests)
printf '\n'
grep '^test result:' "$scratch/tests" || true
say "everything passed in $SECONDS s"
case $total in
  '0 passed,'*) die "no test was run" ;;
esac
printf '%s\n' "$total"
