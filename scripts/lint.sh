#!/bin/sh
# The wider set of linters (.golangci.yml). The first run builds golangci-lint, which takes minutes.
set -eu
. "$(dirname "$0")/env.sh"
# Code has at most 120 columns, and the subject of a commit at most 72 characters (older commits are not checked).
go run ./scripts/lines $(git ls-files '*.go')
long=$(git log --format='%h %s' 7affca5..HEAD | awk 'length(substr($0, index($0, " ") + 1)) > 72')
[ -z "$long" ] || { echo "commit subjects beyond 72 characters:"; echo "$long"; exit 1; }
tool golangci-lint run "$@"
