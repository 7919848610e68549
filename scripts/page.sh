#!/bin/sh
# Tests the page in headless Chromium, and its accessibility with axe-core. It installs both: Chromium and npm from the
# distribution's packages, axe-core from npm into the cache directory. If npm is unreachable, axe-core is skipped.
#
#   scripts/page.sh [go test flags]        RETRAIND_SCREENSHOTS=DIR keeps the screenshots;
#                                          RETRAIND_UPDATE=1 updates those of the documents, docs/pictures/page*.png
set -eu
. "$(dirname "$0")/env.sh"

axe=4.14.1
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/retraind-e2e/axe-$axe
log=$(mktemp)
trap 'rm -f "$log"' EXIT

need() { # COMMAND PACKAGE
	command -v "$1" >/dev/null && return
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		echo "page: $1 is missing, and installing it needs root and apt-get" >&2
		return 1
	fi
	echo "page: installing $2" >&2
	{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$2"; } >"$log" 2>&1 ||
		{ cat "$log" >&2 && echo "page: apt-get could not install $2" >&2 && return 1; }
}

if ! need chromium chromium; then
	echo "page: SKIPPED: the test of the page in Chromium" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 0
fi

library=$cache/node_modules/axe-core/axe.min.js
if [ ! -f "$library" ]; then
	if ! need npm npm || ! timeout 300 npm install --prefix "$cache" --no-audit --no-fund --ignore-scripts "axe-core@$axe" >"$log" 2>&1; then
		cat "$log" >&2
		echo "page: SKIPPED: the accessibility test, because npm could not install axe-core; the other tests are run" >&2
		library=
	fi
fi

RETRAIND_CHROMIUM=$(command -v chromium) RETRAIND_AXE=$library \
	go test -tags e2e -timeout 15m -run '^TestPageInChromium$' "$@" ./status
