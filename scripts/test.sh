#!/bin/sh
# Everything that must hold before a change is taken: format, a tidy module, staticcheck and vet, both cgo variants, and
# every test once.
#
# There are two builds and no third, for on a fresh machine compiling is half of the time: without cgo, and with cgo and
# the race detector, at which the linter looks (tools/lint). The tools share the first.
set -eu
"$(dirname "$0")/setup.sh" postgres gcc systemd-analyze polkit
. "$(dirname "$0")/env.sh"

work=$(mktemp -d) fast=
trap 'rm -rf "$work" "$fast"' EXIT

# What tests write is on no disk, where memory has room for it: a fifth of their time is waiting for fsync. What is built
# stays on the disk.
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ "$(df -k --output=avail /dev/shm | tail -1)" -gt 6000000 ] &&
	[ "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)" -gt 10000000 ]; then
	fast=$(mktemp -d /dev/shm/retraind.XXXXXX)
	chmod 711 "$fast" # PostgreSQL's server runs as another user
	if cp /bin/true "$fast" && "$fast/true"; then
		export GOTMPDIR="${TMPDIR:-/tmp}" TMPDIR="$fast"
	fi
fi

step() { echo "== $*" >&2; }

# What we did not write is compiled without inlining, and nothing gets debug information: a third less time. SQLite, which
# is C translated to Go, would take twice as long to run.
cheap() {
	echo "'-gcflags=all=-l -dwarf=false $1' '-gcflags=github.com/retraind/...=-dwarf=false' '-gcflags=modernc.org/...=-dwarf=false $1' '-ldflags=-s -w'"
}
# Compiler and linker collect their garbage less often, within a bound: another fifth less.
goflags="$(go env GOFLAGS) '-toolexec=env GOGC=400 GOMEMLIMIT=1GiB'"
# SQLite takes most of the detector's time, too, and stays without. The check of pointers that comes with the detector is
# for our own packages: elsewhere it takes a tenth of the time.
race="$goflags $(cheap -d=checkptr=0) '-gcflags=modernc.org/sqlite/lib=-dwarf=false -race=false' -race"
goflags="$goflags $(cheap "")"
export GOFLAGS="$goflags" CGO_ENABLED=0

step module
go mod tidy -diff
(cd tools && go mod verify >/dev/null)
(cd tools && go build -o "$work/" mvdan.cc/gofumpt ./lint)

step format
unformatted=$("$work/gofumpt" -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted (go tool -modfile=tools/go.mod gofumpt -w FILE):" >&2
	echo "$unformatted" >&2
	exit 1
fi

step without cgo: build, and vet of what differs
go build -o "$work/retraind" ./cmd/retraind
go vet ./gpu/...

# The short run under the detector leaves out what it could find nothing in: long arithmetic, and stories that differ in
# how they end, and those of the program as it is shipped; the long arithmetic is played by `make soak`. The programs that are started here collect less garbage, too.
step without cgo: what the short run leaves out. Beside it staticcheck and vet, with what that leaves of the processors
GOFLAGS="$race" CGO_ENABLED=1 GOGC=400 GOMEMLIMIT=2GiB nice -n 19 "$work/lint" ./... &
lint=$!
trap 'kill "$lint" 2>/dev/null || true; rm -rf "$work" "$fast"' EXIT
GOGC=400 go test -vet=off -timeout 30m ./internal/crashtest ./cmd/retraind ./actions ./internal/systemdtest
go test -vet=off -timeout 30m -run '^(TestFloodOfLabels|TestDaemonKilledWhileOthersWrite)$' ./internal/daemon

# The longest first, and one more at a time than there are processors, since most of them wait for servers.
step with cgo and the race detector: every test
GOFLAGS="$race" CGO_ENABLED=1 go test -p $(($(nproc) + 1)) -short -vet=off -timeout 30m ./watch/postgres ./internal/daemon ./cmd/retraind ./notify ./...
step staticcheck and vet
wait "$lint"
