#!/bin/sh
# Builds the docker compose plugin (version 2) for the end-to-end tests (tools/compose has the version), once per machine, and
# prints its path in the user's cache. Debian 12 has version 1 only. The build takes 2-5 minutes on two cores.
#
#   scripts/compose.sh          build unless it exists; if the Go proxy does not have it: print the reason, exit status 1
#   scripts/compose.sh --path   only print the path, whether it exists or not
set -eu
cd "$(dirname "$0")/../tools/compose"

version=$(sed -n 's/.*github.com\/docker\/compose\/v2 \(v[^ ]*\).*/\1/p' go.mod)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/retraind-e2e/compose-$version
plugin=$cache/docker-compose
if [ "${1-}" = --path ] || [ -x "$plugin" ]; then
	echo "$plugin"
	exit 0
fi

fail() {
	echo "no docker compose of version 2 for the end-to-end tests: $1" >&2
	exit 1
}
command -v go >/dev/null || fail "Go is missing (https://go.dev/dl/)"
log=$(mktemp)
trap 'rm -f "$log" "$plugin.$$"' EXIT
echo "Building docker compose $version for the end-to-end tests, once on this machine: 2-5 minutes …" >&2
go mod download github.com/docker/compose/v2 2>"$log" || {
	cat "$log" >&2
	fail "go mod download failed: the Go proxy does not provide github.com/docker/compose/v2 $version"
}
mkdir -p "$cache"
CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X github.com/docker/compose/v2/internal.Version=$version" \
	-o "$plugin.$$" github.com/docker/compose/v2/cmd || fail "go build failed"
mv "$plugin.$$" "$plugin"
echo "$plugin"
