#!/bin/sh
# The stories that need programs which `make test` does not assume: a Docker engine with compose, Python with
# scikit-learn; and before them the page in Chromium (page.sh) and the tests that ask an Ollama server (ollama_test.sh). It
# brings them from the distribution's packages; the engine is unpacked below the cache directory, so that the machine gets
# no service that it did not have. Images are built from the machine's own programs: no registry of images is asked.
#
#   scripts/e2e.sh [go test flags]
set -eu
here=$(dirname "$0")

# A fault of the page does not keep the other stories from being played.
failed=
"$here/page.sh" "$@" || failed=1
"$here/ollama_test.sh" "$@" || failed=1

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "e2e: NOT PLAYED: the stories with a Docker engine need root, to run it, and apt-get, to install it" >&2
	[ "${CI:-}" = true ] && exit 1
	exit "${failed:-0}"
fi
"$here/setup.sh" postgres gcc
. "$here/env.sh"

log=$(mktemp) work=
trap 'rm -rf "$log" "$work"' EXIT

# quietly runs a command and shows what it printed only if it fails.
quietly() {
	"$@" >"$log" 2>&1 && return
	cat "$log" >&2
	echo "e2e: failed: $*" >&2
	exit 1
}

updated=
update() { [ -n "$updated" ] || quietly apt-get update -q; updated=1; }

need() { # PACKAGE COMMAND...: installs a package unless the command succeeds
	package=$1
	shift
	"$@" >/dev/null 2>&1 && return
	echo "e2e: installing $package" >&2
	update
	quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package"
	quietly "$@"
}
need python3-sklearn /usr/bin/python3 -c 'import sklearn'
need docker-compose docker-compose version

# Version 2 of compose is no package of every distribution: without it only the stories with version 1 are played.
if ! scripts/compose.sh >/dev/null; then
	echo "e2e: NOT PLAYED: the stories with docker compose of version 2" >&2
fi

if ! command -v dockerd >/dev/null; then
	engine=${XDG_CACHE_HOME:-$HOME/.cache}/retraind-e2e/docker
	if [ ! -x "$engine/usr/sbin/dockerd" ] || [ ! -x "$engine/usr/bin/docker" ]; then
		echo "e2e: unpacking a Docker engine below $engine" >&2
		update
		work=$(mktemp -d)
		chmod 755 "$work"
		packages="docker.io containerd runc"
		# Newer distributions have the command line in a package of its own.
		if apt-cache show docker-cli >/dev/null 2>&1; then packages="$packages docker-cli"; fi
		# shellcheck disable=SC2086  # several packages are several words
		(cd "$work" && quietly apt-get download -q $packages)
		for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
		mkdir -p "$(dirname "$engine")"
		rm -rf "$engine"
		cp -a "$work/root" "$engine"
	fi
	PATH=$engine/usr/sbin:$engine/usr/bin:$PATH
	export PATH
	# Libraries that most machines have.
	need libdevmapper1.02.1 dockerd --version
	need libseccomp2 runc --version
fi

go test -tags e2e -timeout 40m -skip TestLigaStory "$@" ./internal/e2e/... || failed=1
exit "${failed:-0}"
