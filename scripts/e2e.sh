#!/bin/sh
# Runs the end-to-end tests, which need programs that `make test` does not: a Docker engine with compose, Python with
# scikit-learn, and PyTorch with peft (lora.sh). Before them it tests the page in Chromium (page.sh) and runs the tests with an
# Ollama server (ollama_test.sh).
# The programs are installed from the distribution's packages; the engine is unpacked below the cache directory, so that no new
# service is installed. Images are built from programs of this machine, without an image registry.
#
#   scripts/e2e.sh [go test flags]
set -eu
here=$(dirname "$0")

# If the page's test fails, the other tests are still run.
failed=
"$here/page.sh" "$@" || failed=1
"$here/ollama_test.sh" "$@" || failed=1

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "e2e: SKIPPED: the tests with a Docker engine need root, to run it, and apt-get, to install it" >&2
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

# Not every distribution has a package of compose version 2: without it only the tests with version 1 are run.
if ! scripts/compose.sh >/dev/null; then
	echo "e2e: SKIPPED: the tests with docker compose of version 2" >&2
fi

if ! scripts/lora.sh >/dev/null; then
	echo "e2e: SKIPPED: the test of a real fine-tuning" >&2
fi

if ! command -v dockerd >/dev/null; then
	engine=${XDG_CACHE_HOME:-$HOME/.cache}/retraind-e2e/docker
	if [ ! -x "$engine/usr/sbin/dockerd" ] || [ ! -x "$engine/usr/bin/docker" ]; then
		echo "e2e: unpacking a Docker engine below $engine" >&2
		update
		work=$(mktemp -d)
		chmod 755 "$work"
		packages="docker.io containerd runc"
		# Newer distributions have the command-line client in a separate package.
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
