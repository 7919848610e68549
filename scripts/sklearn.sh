#!/bin/sh
# Prints the path of a Python with scikit-learn: RETRAIND_PYTHON if it is set, otherwise the system's (Debian:
# python3-sklearn), or else one in a virtual environment in the user's cache, which is created from PyPI. If none works, prints
# the reason and exits with 1.
set -eu

fail() {
	echo "no scikit-learn: $1" >&2
	exit 1
}

[ -z "${RETRAIND_NO_SKLEARN-}" ] || fail "RETRAIND_NO_SKLEARN is set"
venv=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/retraind/sklearn
for python in "${RETRAIND_PYTHON:-/usr/bin/python3}" "$venv/bin/python"; do
	if [ -x "$python" ] && "$python" -c 'import sklearn' 2>/dev/null; then
		echo "$python"
		exit 0
	fi
done
command -v python3 >/dev/null 2>&1 || fail "python3 is missing"
mkdir -p "${venv%/*}"
python3 -m venv "$venv" >/dev/null 2>&1 || fail "python3 -m venv does not work (Debian: python3-venv)"
"$venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn >/dev/null 2>&1 || fail "pip could not install it from PyPI"
echo "$venv/bin/python"
