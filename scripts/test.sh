#!/bin/sh
# Everything that must hold before a change is taken: format, vet, staticcheck, a tidy module, both cgo variants, and
# every test once, under the race detector but for the crash tests. The plain run that a second pass would add finds
# nothing more, and costs minutes.
set -eu
"$(dirname "$0")/setup.sh" postgres gcc systemd-analyze
. "$(dirname "$0")/env.sh"

step() { echo "== $*" >&2; }

step format
unformatted=$(tool gofumpt -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted (go tool -modfile=tools/go.mod gofumpt -w FILE):" >&2
	echo "$unformatted" >&2
	exit 1
fi

step module
go mod tidy -diff
(cd tools && go mod verify >/dev/null)

step build without cgo
CGO_ENABLED=0 go build -o /dev/null ./cmd/retraind
CGO_ENABLED=0 go vet ./gpu/...

step build with cgo
export CGO_ENABLED=1
go build -o /dev/null ./cmd/retraind

step vet
go vet ./...

step staticcheck
tool staticcheck ./...

# Not under the race detector: the processes that matter here are the program's own, which has no detector in it, or it
# is all arithmetic.
step crash at every point, and every command
go test -timeout 9m ./internal/crashtest ./cmd/retraind ./internal/demo/news

# SQLite's C, translated to Go, is no code of ours and takes most of the detector's time: it stays without.
step test
exec go test -race -gcflags=modernc.org/sqlite/lib=-race=false -timeout 9m ./...
