#!/bin/sh
# Runs the benchmarks listed in scripts/bench/rows.go, prints one table and writes bench.json.
set -eu
"$(dirname "$0")/setup.sh" postgres
. "$(dirname "$0")/env.sh"
exec go run ./scripts/bench -o bench.json "$@"
