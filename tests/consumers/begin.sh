# Sourced by the run scripts of the consumers, which all begin and end alike.
consumers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# need TOOL: ends the script if it is not on the machine.
need() {
  command -v "$1" > /dev/null || { echo "there is no $1 on this machine"; exit 77; }
}

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Starts the three targets, and names their addresses.
start_targets() {
  need python3
  coproc TARGETS { exec "$consumers/targets.py"; }
  local ports
  read -r -a ports <&"${TARGETS[0]}"
  live=127.0.0.1:${ports[0]} dead=127.0.0.1:${ports[1]} silent=127.0.0.1:${ports[2]}
}

# Ends them; false if the application behind $live saw anything of the checks.
stop_targets() {
  local targets=$TARGETS_PID input=${TARGETS[1]}
  exec {input}>&-
  wait "$targets"
}

# Ends them, and the script if the application saw anything.
end_targets() {
  stop_targets || fail "a check was not half-open"
  echo "ok: the application that listens saw none of it"
}

# same_layout_as_c [all]: fails unless standard input, a binding's layout of the structs, is C's.
same_layout_as_c() {
  need cc
  # shellcheck disable=SC2046 # flags are words
  cc -o "$scratch/layout" "$consumers/layout.c" $(pkg-config --cflags tcpshaker)
  diff <("$scratch/layout" "$@") - || fail "C's layout of the structs (<) is not the binding's (>)"
  echo "ok: the structs are as C has them"
}

# example_checks COMMAND...: the example says what is true of three targets, and nothing else, and none of them knows.
example_checks() {
  local attempt output line up
  for attempt in 1 2 3; do
    start_targets
    output=$("$@" "$live" "$dead" "$silent")
    printf '%s\n' "$output"
    # A machine that stands still for 200 ms in the middle of a check lets the last ACK out, and the library says so.
    grep -q 'not proven half-open' <<< "$output" || break
    echo "attempt $attempt was held up"
    stop_targets || true
  done
  up="$live up, rtt [0-9.]+ ms, half-open"
  for line in \
    "blocking: $up" \
    "$live: up \($up\)" \
    "$dead: down \($dead refused after [0-9.]+ ms \(Connection refused\)\)" \
    "$silent: down \($silent timed out after [0-9.]+ ms[^)]*\)"; do
    [ "$(grep -cxE "$line" <<< "$output")" = 1 ] || fail "no line that is $line"
  done
  [ "$(wc -l <<< "$output")" = 4 ] || fail "there are more lines than that"
  echo "ok: the example"
  end_targets
}

# from_a_given_path COMMAND...: the example loads the library that TCPSHAKER_LIBRARY names, where the loader knows none.
from_a_given_path() {
  start_targets
  local library=$TCPSHAKER_PREFIX/lib/libtcpshaker.so.0.1 said
  said=$(env -u LD_LIBRARY_PATH TCPSHAKER_LIBRARY="$library" "$@" "$live")
  [[ $said == "blocking: $live up, "* ]] || fail "with the library at $library the example says '$said'"
  ! env -u LD_LIBRARY_PATH TCPSHAKER_LIBRARY=/nowhere/libtcpshaker.so "$@" "$live" > "$scratch/said" 2>&1 ||
    fail "the example takes another library than the one that TCPSHAKER_LIBRARY names"
  stop_targets || true
  echo "ok: the library at a given path"
}

# snippet_checks COMMAND...: the README's program says in one word what is true of a target.
snippet_checks() {
  local pair said
  for pair in "$live=up" "$dead=down" "$silent=down" "nowhere=no verdict"; do
    said=$("$@" "${pair%%=*}")
    [ "$said" = "${pair#*=}" ] || fail "the README's snippet says '$said' of ${pair%%=*}, not '${pair#*=}'"
  done
  echo "ok: the README's snippet"
}

# monitor_snippet_checks COMMAND...: the README's program tells the first state of each target, and then watches on.
monitor_snippet_checks() {
  local output monitor line said=()
  exec {output}< <(exec "$@" "$live" "$dead" "$silent")
  monitor=$!
  for _ in 1 2 3; do
    if read -r -t 60 -u "$output" line; then said+=("$line"); fi
  done
  kill "$monitor" || fail "the README's monitor ended by itself"
  exec {output}<&-
  line=$(printf '%s\n' "${said[@]}" | sort)
  [ "$line" = "$(printf '%s\n' "$live is up" "$dead is down" "$silent is down" | sort)" ] ||
    fail "the README's monitor says: $line"
  echo "ok: the README's monitor"
}

# copy_example SNIPPET FILE: a directory with the C example and, as this file, how docs/installing.md builds it.
copy_example() {
  mkdir -p "$scratch/$1"
  cp "$consumers/../../examples-c/check.c" "$scratch/$1"
  "$consumers/snippet" "$consumers/../../docs/installing.md" "$1" > "$scratch/$1/$2"
}

# c_example_checks COMMAND...: the C example says what is true of three targets.
c_example_checks() {
  local output status=0
  start_targets
  output=$("$@" "$live" "$dead" "$silent" 500) || status=$?
  printf '%s\n' "$output"
  [ "$status" = 1 ] || fail "the exit status is $status, although two targets are down"
  for line in "$live up, rtt .*" "$dead refused.*" "$silent timed out.*"; do
    [ "$(grep -cx "$line" <<< "$output")" = 1 ] || fail "no line that is $line"
  done
  # A machine that stands still for 200 ms in the middle of a check lets the last ACK out, and the library says so.
  stop_targets || grep -q 'not proven half-open' <<< "$output" || fail "a handshake was completed in silence"
  echo "ok: the example"
}
