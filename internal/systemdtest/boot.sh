# Runs as the first process of the box's namespaces and becomes its systemd. Read by box.go, with
#   ROOT     an empty directory, which becomes the box's /
#   CGROUP   unused: the box's cgroup namespace begins at its own cgroup
#   OVERLAYS directories of the machine that the box sees at the same path and may write to, without changing them
#   BINDS    directories that it shares with the machine: the place there, the place here, and so on
set -eu
mount -t tmpfs -o mode=755,size=4g tmpfs "$ROOT"
cd "$ROOT"
mkdir -p usr proc sys dev run tmp etc/systemd/system etc/alternatives var root home old .over
chmod 1777 tmp
chmod 700 root

overlay() { # SOURCE: what is written goes to memory
	n=$((${n-0} + 1))
	mkdir -p ".$1" ".over/$n/upper" ".over/$n/work"
	mount -t overlay -o "lowerdir=$1,upperdir=$ROOT/.over/$n/upper,workdir=$ROOT/.over/$n/work" overlay ".$1"
}
overlay /usr
for link in bin sbin lib lib64; do
	ln -s "usr/$link" "$link"
done
mount --bind /etc/alternatives etc/alternatives
IFS=:
for dir in $OVERLAYS; do overlay "$dir"; done
unset IFS

mount -t proc proc proc
# The box's systemd would set sysctls of the machine: most of them know no namespace.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for device in null zero full random urandom tty; do
	touch "dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/console
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/systemd
IFS=:
set -- $BINDS
unset IFS
while [ $# -gt 1 ]; do
	mkdir -p ".$2"
	mount --bind "$1" ".$2"
	shift 2
done

for dir in pam.d security; do # for runuser
	if [ -d "/etc/$dir" ]; then cp -a "/etc/$dir" "etc/$dir"; fi
done
: >etc/machine-id
echo 'box' >etc/hostname
# Only what the tests look at: no consoles, no sessions, no clock, none of the machine's other services.
for unit in console-getty.service getty.target getty@tty1.service systemd-logind.service systemd-sysctl.service \
	systemd-networkd.service systemd-resolved.service systemd-timesyncd.service systemd-udevd.service \
	modprobe@.service sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
	dev-hugepages.mount; do
	ln -s /dev/null "etc/systemd/system/$unit"
done
pivot_root . old
umount -l old
cd /
mount --make-rshared / # as on a machine: systemd mounts credentials where services then see them
exec env -i container=retraind-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system systemd.firstboot=no
