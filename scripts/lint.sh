#!/bin/sh
# The wider set of linters (.golangci.yml). The first run builds golangci-lint, which takes minutes.
set -eu
. "$(dirname "$0")/env.sh"
# Code ends by column 120, and the subject of a commit has at most 72 characters (older ones are as they are).
go run ./scripts/lines $(git ls-files '*.go')
long=$(git log --format='%h %s' 7affca5..HEAD | awk 'length(substr($0, index($0, " ") + 1)) > 72')
[ -z "$long" ] || { echo "commit subjects beyond 72 characters:"; echo "$long"; exit 1; }
tool golangci-lint run "$@"
