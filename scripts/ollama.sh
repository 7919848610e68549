#!/bin/sh
# Builds the Ollama server that tests ask (tools/ollama names the version), once a machine, and prints where it lies:
# in the user's cache, under a name made of version and flags. It takes 6-8 minutes of two cores.
#
#   scripts/ollama.sh          build unless it is there; without Go proxy, compiler or headers: the reason, exit status 1
#   scripts/ollama.sh --path   only print the path, whether it is there or not
set -eu
cd "$(dirname "$0")/../tools/ollama"

# Half a C++ compiler's time is optimising, which a server for tiny models does not need.
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

# Three headers lie in folders called vendor, which Go's module files leave out. Two are Debian packages, which are
# unpacked and not installed; the third, miniaudio, reads sound files: a stand-in of ours says that it cannot. They lie at
# a place that stays, since the compiler's cache goes by it.
include=$cache/ollama-include
if [ ! -e "$include/nlohmann/json.hpp" ] || [ ! -e "$include/stb/stb_image.h" ]; then
	if ! (cd "$work" && apt-get download -q nlohmann-json3-dev libstb-dev) >"$work/log" 2>&1; then
		cat "$work/log" >&2
		fail "its headers cannot be fetched (Debian: nlohmann-json3-dev libstb-dev; is apt-get update needed?)"
	fi
	for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
	mkdir -p "$include"
	cp -R "$work/root/usr/include/." "$include/"
fi
mkdir -p "$include/miniaudio"
cp miniaudio.h "$include/miniaudio/"

go mod download github.com/ollama/ollama 2>"$work/log" || {
	cat "$work/log" >&2
	fail "the Go proxy does not give github.com/ollama/ollama $version"
}
echo "Building the Ollama $version that tests ask, once on this machine: 6-8 minutes …" >&2
CGO_ENABLED=1 CGO_CFLAGS="$flags -w" CGO_CXXFLAGS="$cxxflags -w -I$include" \
	go build -trimpath -ldflags='-s -w' -o "$work/ollama" github.com/ollama/ollama || fail "it does not build"
mv "$work/ollama" "$server.$$"
mv "$server.$$" "$server"
echo "$server"
