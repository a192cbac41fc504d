# Shared by the scripts of this project; source it, do not run it.
# It gives the words in which every script reports, and a deadline for everything that could hang.
# shellcheck shell=bash

# Ends the script with one line that says what happened and, where possible, what to do.
die() {
  trap - ERR
  printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Tells what is done next. Every script prints what it does before it does it.
say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }

# Opens a numbered section of a long run and closes the one before it with its duration.
SECTION_NAME=
SECTION_STARTED=0
section() {
  section_end
  SECTION_NAME=$1
  SECTION_STARTED=$SECONDS
  printf '\n=== %s ===\n' "$1"
}
section_end() {
  [ -z "$SECTION_NAME" ] || printf '=== %s: %d s ===\n' "$SECTION_NAME" $((SECONDS - SECTION_STARTED))
  SECTION_NAME=
}

# limited SECONDS COMMAND...: runs the command without standard input and ends it after SECONDS, or when the whole run's time is
# over (PRINTERNIZER_DEADLINE, seconds since 1970; scripts called from another one inherit it).
# Nothing here may wait for ever: a build server kills the whole run late and without an explanation.
limited() {
  local seconds=$1 status=0 left
  shift
  if [ -n "${PRINTERNIZER_DEADLINE:-}" ]; then
    left=$((PRINTERNIZER_DEADLINE - $(date +%s)))
    [ "$left" -gt 0 ] || die "the whole run has taken too long, not starting: $*"
    [ "$seconds" -le "$left" ] || seconds=$left
  fi
  timeout --kill-after=30 "$seconds" "$@" </dev/null || status=$?
  case $status in
    124 | 137) printf '%s: error: not done after %d s: %s\n' "$(basename "$0")" "$seconds" "$*" >&2 ;;
  esac
  return "$status"
}

# Turns an unexpected failure into one line with its place; `set -E` hands the trap to functions.
set -E
trap 'printf "%s: error: line %d failed: %s\n" "$(basename "$0")" "$LINENO" "${BASH_COMMAND//$'"'\\n'"'/ }" >&2' ERR

# --- tools of the tests' own, installed below target -------------------------------------------------------------------

# claim_place NAME MINUTES: sets `target` and `place` (target/NAME), and waits for another run that installs into the same
# place: two at once would spoil it.
claim_place() {
  target=${CARGO_TARGET_DIR:-$root/target}
  mkdir -p "$target"
  target=$(cd "$target" && pwd)
  place=$target/$1
  exec 9>"$target/.$1.lock"
  flock --wait "$(($2 * 60))" 9 || die "another run has been preparing $place for $2 minutes; end it or remove $place"
}

# is_pinned PIN: whether what is in `place` was installed from this very list.
is_pinned() { [ "$(cat "$place/.pin" 2>/dev/null)" = "$1" ]; }

# put_in_place DIRECTORY PIN: makes a whole installation the one that is used.
put_in_place() {
  printf '%s\n' "$2" >"$1/.pin"
  rm -rf "$place"
  mv "$1" "$place"
}

# python_311 NAME: prints the command of the Python that NAME is pinned for.
python_311() {
  local candidate
  for candidate in python3.11 python3; do
    if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "no Python 3.11, for which $1 is pinned: apt-get install python3.11"
}

# --- Debian ----------------------------------------------------------------------------------------------------------------

# debian_mirror: prints the Debian archive that this machine's apt uses, or nothing: it may be a mirror that is nearer, or the only one
# that can be reached.
debian_mirror() {
  # shellcheck disable=SC2016 # apt expands these, not the shell
  apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(CODENAME)' 'Created-By: Packages' 2>/dev/null \
    | awk '$2 == "Debian" && $1 !~ /security/ && $3 !~ /-/ && !found++ { sub(/\/$/, "", $1); print $1 }'
}

# --- measurements on a service of their own -----------------------------------------------------------------------------

# take_down: ends the process `process` as a service manager does, which takes its own ones down, and removes `scratch`. For a
# script that starts one thing and leaves nothing behind; ends_clean sets it up.
process=''
take_down() {
  if [ -n "$process" ] && kill -0 "$process" 2>/dev/null; then
    kill -TERM "$process"
    wait "$process" || true
  fi
  rm -rf "$scratch"
}

# ends_clean: makes `scratch`, and takes down what `process` names whenever and however the script ends.
ends_clean() {
  scratch=$(mktemp -d)
  trap take_down EXIT
  trap 'exit 130' INT TERM
}
