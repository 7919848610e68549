#!/bin/sh
# The wider set of linters (.golangci.yml). The first run builds golangci-lint, which takes minutes.
set -eu
. "$(dirname "$0")/env.sh"
tool golangci-lint run "$@"
