#!/bin/sh
# Checks everything that a change must pass: format, a tidy module, staticcheck and vet, both cgo variants, and every test at
# least once, except those that `make e2e` runs.
#
# There are only two builds, because on a fresh machine compiling takes half of the time: one without cgo, and one with
# cgo and the race detector. The tools use the first build; the linter (tools/lint) checks the second.
set -eu
"$(dirname "$0")/setup.sh" postgres gcc systemd-analyze polkit
. "$(dirname "$0")/env.sh"

work=$(mktemp -d) fast=
trap 'rm -rf "$work" "$fast"' EXIT

# The files that tests write are kept in memory if it has room, because the tests spend a fifth of their time on fsync.
# Build output stays on the disk.
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ "$(df -k --output=avail /dev/shm | tail -1)" -gt 6000000 ] &&
	[ "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)" -gt 10000000 ]; then
	fast=$(mktemp -d /dev/shm/retraind.XXXXXX)
	chmod 711 "$fast" # PostgreSQL's server runs as another user
	if cp /bin/true "$fast" && "$fast/true"; then
		export GOTMPDIR="${TMPDIR:-/tmp}" TMPDIR="$fast"
	fi
fi

step() { echo "== $*" >&2; }

# Dependencies are compiled without inlining, and nothing is compiled with debug information, which saves a third of the
# time. SQLite is an exception: it is C translated to Go, and would take twice as long to run without inlining.
cheap() {
	echo "'-gcflags=all=-l -dwarf=false $1' '-gcflags=github.com/retraind/...=-dwarf=false' '-gcflags=modernc.org/...=-dwarf=false $1' '-ldflags=-s -w'"
}
# Compiler and linker collect garbage less often, within a memory limit: this saves another fifth.
goflags="$(go env GOFLAGS) '-toolexec=env GOGC=400 GOMEMLIMIT=1GiB'"
# SQLite is built without the race detector, because the detector would spend most of its time there. The detector's
# pointer checks are enabled only for our own packages; in the others they would take a tenth of the time.
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

step without cgo: build, and go vet of ./gpu
go build -o "$work/retraind" ./cmd/retraind
go vet ./gpu/...

# The run under the race detector skips tests in which it can find nothing: long arithmetic, scenarios that differ only in
# their end, and tests of the shipped program; `make soak` runs the long arithmetic. The programs that tests start also
# collect garbage less often.
step "without cgo: the tests that the run with the race detector skips; staticcheck and vet run in the background"
GOFLAGS="$race" CGO_ENABLED=1 GOGC=400 GOMEMLIMIT=2GiB nice -n 19 "$work/lint" ./... &
lint=$!
trap 'kill "$lint" 2>/dev/null || true; rm -rf "$work" "$fast"' EXIT
GOGC=400 go test -vet=off -timeout 30m ./internal/crashtest ./cmd/retraind ./actions ./internal/systemdtest
go test -vet=off -timeout 30m -run '^(TestFloodOfLabels|TestDaemonKilledWhileOthersWrite)$' ./internal/daemon
go test -vet=off -run '^TestWordsArePlain$' .

# The longest tests run first, with one more process than there are processors, because most of them wait for servers.
step with cgo and the race detector: every test
GOFLAGS="$race" CGO_ENABLED=1 go test -p $(($(nproc) + 1)) -short -vet=off -timeout 30m ./watch/postgres ./internal/daemon ./cmd/retraind ./notify ./...
step staticcheck and vet
wait "$lint"
