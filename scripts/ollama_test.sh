#!/bin/sh
# Runs the tests that ask an Ollama server over the real one, too, which ollama.sh builds once a machine (6-8 minutes), and
# the story of configs/examples/liga-llm.yaml (4 minutes; -v shows its runs and what its clients got). Where the server
# cannot be built, it says why; `make test` has run the same tests over a fake.
#
#   scripts/ollama_test.sh [go test flags]
set -eu
here=$(dirname "$0")
if ! "$here/ollama.sh" >/dev/null; then
	echo "e2e: NOT PLAYED: the tests that ask a real Ollama server, and the story of a language model" >&2
	exit 0
fi
"$here/setup.sh" postgres gcc
. "$here/env.sh"
export RETRAIND_OLLAMA=1
go test -timeout 10m "$@" ./serving/...
go test -timeout 10m -run Ollama "$@" ./classifier ./internal/daemon
go test -tags e2e -timeout 12m -run TestLigaStory "$@" ./internal/e2e
