#!/bin/sh
# Installs the programs named as arguments: postgres, gcc, systemd-analyze, polkit.
#
#   scripts/setup.sh postgres gcc
#
# Programs that exist are left alone. Missing ones are installed from the distribution's packages if this runs as root or
# sudo needs no password; otherwise the command to run is printed and the exit status is 1.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
	have initdb && have postgres && return 0
	for dir in /usr/lib/postgresql/*/bin; do
		[ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && return 0
	done
	return 1
}

# gcc alone is not enough: the C library's headers come with libc6-dev.
have_gcc() { have gcc && echo 'int main(void){return 0;}' | gcc -include stdio.h -x c -o /dev/null - 2>/dev/null; }

packages=
for want in "$@"; do
	case $want in
	postgres) have_postgres || packages="$packages postgresql" ;;
	gcc) have_gcc || packages="$packages gcc libc6-dev" ;;
	systemd-analyze) have systemd-analyze || packages="$packages systemd" ;;
	polkit)
		have dbus-daemon || packages="$packages dbus"
		[ -x /usr/lib/polkit-1/polkitd ] || packages="$packages polkitd"
		;;
	*)
		echo "setup.sh: no such program: $want (known: postgres gcc systemd-analyze polkit)" >&2
		exit 2
		;;
	esac
done
[ -n "$packages" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
	root="sudo -n"
fi
if ! have apt-get || { [ -n "$root" ] && ! $root true 2>/dev/null; }; then
	echo "Missing packages:$packages. Install them with" >&2
	echo >&2
	echo "    sudo apt-get install --no-install-recommends$packages" >&2
	echo >&2
	have apt-get || echo "or with the package manager of this distribution, and then run this again." >&2
	exit 1
fi

# Only the server's binaries are needed: do not create or start a system-wide cluster.
quiet=/etc/postgresql-common/createcluster.d/retraind-setup.conf
cleanup() { $root rm -f "$quiet"; }
case $packages in
*postgresql*)
	trap cleanup EXIT
	$root mkdir -p "${quiet%/*}"
	echo "create_main_cluster = false" | $root tee "$quiet" >/dev/null
	;;
esac

echo "Installing$packages …"
log=$(mktemp)
install() { $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages; }
if ! { $root apt-get update -q && install; } >"$log" 2>&1; then
	cat "$log" >&2
	rm -f "$log"
	echo "setup.sh: apt-get could not install:$packages" >&2
	exit 1
fi
rm -f "$log"
