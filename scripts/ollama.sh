#!/bin/sh
# Builds an Ollama server for tests (tools/ollama has the version), once per machine, and prints its path in the user's
# cache; the file's name depends on the version and the flags. The build takes 6-8 minutes on two cores.
#
#   scripts/ollama.sh          build unless it exists; without Go proxy, compiler or headers: print the reason, exit status 1
#   scripts/ollama.sh --path   only print the path, whether it exists or not
set -eu
cd "$(dirname "$0")/../tools/ollama"

# Build without optimisation, which takes half of the compile time, because a server for tiny models does not need it.
flags="-O1 -g0" cxxflags="-O0 -g0" recipe=1
version=$(sed -n 's/.*github.com\/ollama\/ollama \(v[^ ]*\).*/\1/p' go.mod)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/retraind-test
key=$(echo "$version $flags $cxxflags $recipe" | cksum | cut -d' ' -f1)
server=$cache/ollama-$version-$key
if [ "${1-}" = --path ] || [ -x "$server" ]; then
	echo "$server"
	exit 0
fi

fail() {
	echo "no Ollama server for tests: $1" >&2
	exit 1
}
command -v go >/dev/null || fail "Go is missing (https://go.dev/dl/)"
command -v g++ >/dev/null || fail "there is no C++ compiler (Debian: g++)"
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

# Three headers are in folders called vendor, which Go's module archives leave out. Two are in Debian packages, which are
# unpacked and not installed; the third, miniaudio, reads sound files and is replaced by a stub. They are stored under a fixed
# path, because the compiler's cache depends on the path.
include=$cache/ollama-include
if [ ! -e "$include/nlohmann/json.hpp" ] || [ ! -e "$include/stb/stb_image.h" ]; then
	if ! (cd "$work" && apt-get download -q nlohmann-json3-dev libstb-dev) >"$work/log" 2>&1; then
		cat "$work/log" >&2
		fail "the headers cannot be downloaded (Debian: nlohmann-json3-dev libstb-dev; is apt-get update needed?)"
	fi
	for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
	mkdir -p "$include"
	cp -R "$work/root/usr/include/." "$include/"
fi
mkdir -p "$include/miniaudio"
cp miniaudio.h "$include/miniaudio/"

go mod download github.com/ollama/ollama 2>"$work/log" || {
	cat "$work/log" >&2
	fail "go mod download failed: the Go proxy does not provide github.com/ollama/ollama $version"
}
echo "Building Ollama $version for tests, once on this machine: 6-8 minutes …" >&2
CGO_ENABLED=1 CGO_CFLAGS="$flags -w" CGO_CXXFLAGS="$cxxflags -w -I$include" \
	go build -trimpath -ldflags='-s -w' -o "$work/ollama" github.com/ollama/ollama || fail "go build failed"
mv "$work/ollama" "$server.$$"
mv "$server.$$" "$server"
echo "$server"
