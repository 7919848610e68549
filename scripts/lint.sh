#!/bin/sh
# The wider set of linters (.golangci.yml). The first run builds golangci-lint, which takes minutes.
set -eu
. "$(dirname "$0")/env.sh"
# Code ends by column 120, and the subjects of commits since this check was made by column 72.
go run ./scripts/lines $(git ls-files '*.go')
long=$(git log --format='%h %s' d7d5eee5aaf9..HEAD | awk 'length(substr($0, index($0, " ") + 1)) > 72')
[ -z "$long" ] || { echo "commit subjects beyond 72 characters:"; echo "$long"; exit 1; }
tool golangci-lint run "$@"
