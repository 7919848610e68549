# Sourced by the other scripts: the repository root as working directory, and one place for Go's settings.
cd "$(dirname "$0")/.."

if ! command -v go >/dev/null 2>&1; then
	echo "Go is missing: https://go.dev/dl/ (1.26 or newer)" >&2
	exit 1
fi

# The binding of NVIDIA's library marks older calls as deprecated, which gcc repeats for pages.
export CGO_CFLAGS="${CGO_CFLAGS--O2 -g} -Wno-deprecated-declarations"

# Tools (our linter, gofumpt, golangci-lint) have a module of their own.
tool() {
	name=$1
	shift
	go tool -modfile=tools/go.mod "$name" "$@"
}
