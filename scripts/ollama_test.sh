#!/bin/sh
# Runs the tests of the Ollama client against a real server, which ollama.sh builds once per machine (6-8 minutes), and the
# end-to-end test of configs/examples/liga-llm.yaml (4 minutes; -v shows its runs and its clients' answers). If the server
# cannot be built, the reason is printed; `make test` runs the tests of the client against a fake.
#
#   scripts/ollama_test.sh [go test flags]
set -eu
here=$(dirname "$0")
if ! "$here/ollama.sh" >/dev/null; then
	echo "e2e: SKIPPED: the tests with a real Ollama server, and the end-to-end test of a language model" >&2
	exit 0
fi
"$here/setup.sh" postgres gcc
. "$here/env.sh"
export RETRAIND_OLLAMA=1
go test -timeout 20m "$@" ./serving/... ./actions/ollamatags ./actions/teacher ./actions/ledger ./internal/gpugate
go test -timeout 20m -run 'Ollama|TestRunUnloads|TestRunLoads|TestServersDisk|Base|TestScripts/gpu-ollama' "$@" \
	./classifier ./internal/daemon ./actions ./cmd/retraind
go test -tags e2e -timeout 12m -run TestLigaStory "$@" ./internal/e2e
