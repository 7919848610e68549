#!/bin/sh
# Installs the binary, the units and their files. It starts nothing and changes no configuration.
#   DESTDIR   a root to install below, for packaging
set -eu
cd "$(dirname "$0")/.."

# As root, build as the owner of the clone: sudo's PATH has no Go, and git refuses a clone that belongs to another user.
PATH=$PATH:/usr/local/go/bin
owner=$(stat -c %U .)
if [ "$(id -u)" -eq 0 ] && [ "$owner" != root ] && [ "$owner" != UNKNOWN ] && command -v runuser >/dev/null 2>&1; then
	home=$(getent passwd "$owner" | cut -d: -f6)
	runuser -u "$owner" -- env HOME="$home" PATH="$PATH:$home/go/bin:$home/.local/bin" scripts/build.sh
else
	if ! git rev-parse HEAD >/dev/null 2>&1; then
		GOFLAGS="${GOFLAGS-} -buildvcs=false" # without a readable repository, the version is unknown
		export GOFLAGS
	fi
	scripts/build.sh
fi

dest=${DESTDIR-}
put() { install -D -m "$1" "$2" "$dest$3"; }

put 0755 bin/retraind /usr/local/bin/retraind
for unit in systemd/files/*.service systemd/files/*.socket systemd/files/*.timer; do
	put 0644 "$unit" "/etc/systemd/system/${unit##*/}"
done
put 0644 systemd/files/retraind.sysusers /usr/lib/sysusers.d/retraind.conf
put 0644 systemd/files/retraind.tmpfiles /usr/lib/tmpfiles.d/retraind.conf

completion() {
	mkdir -p "$dest${2%/*}"
	bin/retraind completion "$1" >"$dest$2"
}
completion bash /usr/share/bash-completion/completions/retraind
completion zsh /usr/share/zsh/vendor-completions/_retraind
completion fish /usr/share/fish/vendor_completions.d/retraind.fish

if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
	systemd-sysusers retraind.conf
	systemd-tmpfiles --create retraind.conf
	# A daemon-reload resets the devices of each running container, which loses NVIDIA's until it is restarted.
	if bin/retraind gpu --json 2>/dev/null | grep -q '"container":'; then
		echo "systemd has not loaded the new units, because a running container would lose the GPU (retraind gpu shows which one)." >&2
		echo "Run systemctl daemon-reload when no container uses the GPU; systemctl enable also reloads the units." >&2
	else
		systemctl daemon-reload
	fi
fi

cat <<'NEXT'
Installed. Next:
    retraind init /etc/retraind         a commented configuration and the SQL for the label table
    retraind check                      checks the configuration, and shows its effect
    systemctl enable --now retraind
NEXT
