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
