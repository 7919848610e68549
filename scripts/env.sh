# Sourced by the other scripts: changes to the repository root and sets Go's environment.
cd "$(dirname "$0")/.."

if ! command -v go >/dev/null 2>&1; then
	echo "Go is missing: https://go.dev/dl/ (1.26 or newer)" >&2
	exit 1
fi

# Suppresses gcc's many warnings about deprecated calls in the binding of NVIDIA's library.
export CGO_CFLAGS="${CGO_CFLAGS--O2 -g} -Wno-deprecated-declarations"

# The tools (our linter, gofumpt, golangci-lint) are in a separate module.
tool() {
	name=$1
	shift
	go tool -modfile=tools/go.mod "$name" "$@"
}
