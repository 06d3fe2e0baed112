# Sourced by the scripts beside it: runs steps, and tells at the end how many seconds each took. A script that another one
# calls adds its steps to the table of that one.
if [ -z "${TCPSHAKER_STEPS:-}" ]; then
  TCPSHAKER_STEPS=$(mktemp)
  export TCPSHAKER_STEPS
  trap 'printf "\n== seconds\n"; cat "$TCPSHAKER_STEPS"; rm -f "$TCPSHAKER_STEPS"' EXIT
fi

# step NAME COMMAND...
step() {
  local name=$1 begun=$SECONDS failed
  shift
  printf '\n== %s: %.110s\n' "$name" "$*"
  # Not `"$@" || failed=$?`, where bash would let a function of several commands go on after one has failed.
  set +e
  (set -e; "$@")
  failed=$?
  set -e
  printf '%6d  %s%s\n' $((SECONDS - begun)) "$name" "$([ $failed = 0 ] || echo ", failed")" >> "$TCPSHAKER_STEPS"
  return $failed
}

# Where the builds of other features lie: cargo would build the library anew at each change between them and the plain
# ones.
# shellcheck disable=SC2034 # for the script that sources this
forced_target=${CARGO_TARGET_DIR:-target}/forced-handshake
# shellcheck disable=SC2034
locks_target=${CARGO_TARGET_DIR:-target}/parking-lot
