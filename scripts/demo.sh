#!/bin/sh
# Sets up, builds and runs the demo. DEMO has its arguments: make demo DEMO="--keep".
set -eu
root=$(dirname "$0")
"$root/setup.sh" postgres
"$root/build.sh"
# shellcheck disable=SC2086  # several flags are several words
exec "$root/../bin/retraind" demo ${DEMO-}
