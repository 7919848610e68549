#!/bin/sh
# Runs the randomized tests longer than `make test` (RETRAIND_LONG=1): more kills, more interleavings, more virtual years, to
# find rare faults.
#
#   scripts/soak.sh [go test flags]
set -eu
"$(dirname "$0")/setup.sh" postgres gcc
. "$(dirname "$0")/env.sh"

long() { RETRAIND_LONG=1 go test -vet=off -timeout 30m "$@"; }

long "$@" ./policy/... ./drift/... ./internal/demo/news ./gpu
long "$@" -run '^(TestFloodOfLabels|TestDaemonKilledWhileOthersWrite)$' ./internal/daemon
long "$@" ./actions/ledger
seed=${RETRAIND_SEED:-$(date +%s)}
echo "soak: RETRAIND_SEED=$seed repeats the random kills"
RETRAIND_SEED=$seed long "$@" -run "^(TestCrashDuringGPUStop|TestKillsDuringGPUStop)$" ./internal/crashtest
long "$@" ./watch/natssource ./watch/labelfiles
long "$@" -tags faults -run '^TestKilledAtEachPoint$' ./actions/compose
