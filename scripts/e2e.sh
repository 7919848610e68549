#!/bin/sh
# The stories that need programs which `make test` does not assume: a Docker engine with compose, Python with
# scikit-learn; and before them the page in Chromium (page.sh). It brings them from the distribution's packages; the
# engine is unpacked below the cache directory, so that the machine gets no service that it did not have.
#
#   scripts/e2e.sh [go test flags]
set -eu
here=$(dirname "$0")

"$here/page.sh" "$@"

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "e2e: it needs root and apt-get, to run a Docker engine and to install it" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 0
fi
"$here/setup.sh" postgres gcc
. "$here/env.sh"

updated=
update() { [ -n "$updated" ] || apt-get update -q >/dev/null; updated=1; }

need() { # PACKAGE COMMAND...: installs a package unless the command succeeds
	package=$1
	shift
	if ! "$@" >/dev/null 2>&1; then
		echo "e2e: installing $package" >&2
		update
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package" >/dev/null
	fi
}
need python3-sklearn /usr/bin/python3 -c 'import sklearn'
need docker-compose docker-compose version

if ! command -v dockerd >/dev/null; then
	engine=${XDG_CACHE_HOME:-$HOME/.cache}/retraind-e2e/docker
	if [ ! -x "$engine/usr/sbin/dockerd" ]; then
		echo "e2e: unpacking a Docker engine below $engine" >&2
		update
		work=$(mktemp -d)
		trap 'rm -rf "$work"' EXIT
		chmod 755 "$work"
		(cd "$work" && apt-get download -q docker.io containerd runc tini >/dev/null 2>&1)
		for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
		mkdir -p "$(dirname "$engine")"
		rm -rf "$engine"
		cp -a "$work/root" "$engine"
	fi
	PATH=$engine/usr/sbin:$engine/usr/bin:$PATH
	export PATH
fi

exec go test -tags e2e -timeout 20m "$@" ./internal/e2e/...
