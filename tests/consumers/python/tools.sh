# Sourced by the scripts that try the Python package, after begin.sh. The tools are of the versions in
# bindings/python/tests/requirements.txt.
package=$(cd ../../../bindings/python && pwd)
need python3

requirements=$package/tests/requirements.txt
versions=$( (python3 --version; cat "$requirements") | sha256sum | cut -c1-12)
tools=${XDG_CACHE_HOME:-$HOME/.cache}/tcpshaker-ci/python-$versions
[ -e "$tools/ready" ] || { echo "there is no $tools, which tests/setup makes of $requirements"; exit 77; }

# Nothing is left in the source tree.
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH TCPSHAKER_LIBRARY

# wheel DIRECTORY [SOURCE]: builds the wheel there, from what is on this machine.
wheel() {
  "$tools/bin/python" -m pip wheel -q --no-index --no-deps --no-build-isolation -w "$1" "${2:-$package}"
}

# environment DIRECTORY WHEEL: an environment with that wheel and nothing else.
environment() {
  "$tools/bin/python" -m venv --without-pip "$1"
  "$tools/bin/python" -m pip --python "$1/bin/python" install -q --no-index --no-deps "$2"
}
