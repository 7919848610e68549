#!/bin/sh
# Installs PyTorch, transformers and peft for the test of a real fine-tuning, once per machine, and prints a Python that has
# them: PyTorch from the distribution's packages (Debian: python3-torch, for the CPU, 140 MB), the others from PyPI (lora.txt
# has the versions, 20 MB) in the user's cache.
#
#   scripts/lora.sh          install them unless they exist; if that fails, print the reason and exit with 1
#   scripts/lora.sh --path   only print the path, whether it exists or not
set -eu
cd "$(dirname "$0")"

key=$(cksum <lora.txt | cut -d' ' -f1)
home=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/retraind-e2e/lora-$key
python=$home/python
if [ "${1-}" = --path ] || [ -x "$python" ]; then
	echo "$python"
	exit 0
fi

fail() {
	echo "cannot prepare the fine-tuning test: $1" >&2
	exit 1
}
log=$(mktemp) work=
trap 'rm -rf "$log" "$work"' EXIT
for package in python3-torch python3-pip; do
	case $package in
	python3-torch) /usr/bin/python3 -c 'import torch' 2>/dev/null && continue ;;
	python3-pip) /usr/bin/python3 -m pip --version >/dev/null 2>&1 && continue ;;
	esac
	[ "$(id -u)" -eq 0 ] || fail "$package is missing (sudo apt-get install --no-install-recommends $package)"
	echo "e2e: installing $package" >&2
	if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package"; } >"$log" 2>&1; then
		tail -n 5 "$log" >&2
		fail "apt-get could not install $package"
	fi
done
mkdir -p "$home"
work=$(mktemp -d "$home.XXXXXX")
# Install them without their dependencies, because pip would fetch another PyTorch, which has gigabytes.
/usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$work/packages" -r lora.txt >"$log" 2>&1 || {
	tail -n 5 "$log" >&2
	fail "pip could not install the packages in lora.txt"
}
rm -rf "$home"
mv "$work" "$home"
work=
printf '#!/bin/sh\nPYTHONPATH=%s/packages HF_HUB_OFFLINE=1 exec /usr/bin/python3 "$@"\n' "$home" >"$python.new"
chmod 755 "$python.new" "$home"
"$python.new" -c 'import gguf, peft, transformers' >"$log" 2>&1 || {
	tail -n 5 "$log" >&2
	fail "the installed packages cannot be imported"
}
mv "$python.new" "$python"
echo "$python"
