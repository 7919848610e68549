#!/bin/sh
# Builds bin/retraind. With a C compiler it uses NVIDIA's library to query GPUs; without one the program nvidia-smi.
#   BUILDFLAGS   flags for go build, in place of -trimpath
set -eu
. "$(dirname "$0")/env.sh"

if [ -z "${CGO_ENABLED-}" ]; then
	if command -v gcc >/dev/null 2>&1; then CGO_ENABLED=1; else CGO_ENABLED=0; fi
fi
export CGO_ENABLED

if [ ! -x bin/retraind ]; then
	echo "Building bin/retraind (the first build takes about two minutes) …" >&2
fi
# shellcheck disable=SC2086  # several flags are several words
go build ${BUILDFLAGS--trimpath} -o bin/retraind ./cmd/retraind
