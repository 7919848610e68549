package gpu

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Holder returns who holds the device's lease, "" if no one does or the locks cannot be read. It reads /proc/locks and
// takes no lock itself, so that it never makes the `flock -n` of another process fail. It does not see a holder in
// another PID namespace, or on a file system (such as btrfs) whose device number in /proc/locks differs from that in
// stat(2); TryAcquire does.
func (l Leases) Holder(uuid string) string {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	return l.holder(uuid, string(locks))
}

func (l Leases) holder(uuid, locks string) string {
	if l.Dir == "" {
		return "" // there is no directory, so no one holds a lease
	}
	file, err := os.Open(l.Path(uuid))
	if err != nil {
		return ""
	}
	defer file.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return ""
	}
	return holderOf(locks, fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino), file)
}

// holderOf finds a lock in the lines of /proc/locks: "1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF".
func holderOf(locks, inode string, file *os.File) string {
	for line := range strings.Lines(locks) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[3] != "WRITE" || fields[5] != inode {
			continue
		}
		// Plain flock(1) writes no name, and the file keeps the name of the previous holder. So the name counts only if it
		// has the PID of the lock. If no process has that PID, the name counts, too: the lock may have been passed to another
		// process.
		owner := ownerIn(file)
		if _, err := os.Stat("/proc/" + fields[4]); err == nil && !strings.Contains(owner, "(pid "+fields[4]+")") {
			name, of := Identify(os.DirFS("/proc"), atoi(fields[4]))
			return Process{PID: atoi(fields[4]), Name: name, Holder: of}.String()
		}
		return owner
	}
	return ""
}

func atoi(text string) int {
	n := 0
	_, _ = fmt.Sscan(text, &n)
	return n
}

// Mark fills in who holds the devices' leases. The holder of a whole GPU also holds its MIG instances.
func (l Leases) Mark(devices []Device) {
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return
	}
	held := map[string]string{}
	for i := range devices {
		d := &devices[i]
		d.Lease = l.holder(d.UUID, string(locks))
		if d.Lease == "" && d.Parent != "" {
			d.Lease = held[d.Parent]
		}
		held[d.UUID] = d.Lease
	}
}

// marked is an Inventory that adds the holders of the leases.
type marked struct {
	Inventory
	leases Leases
}

func (m marked) Devices(ctx context.Context) ([]Device, error) {
	devices, err := m.Inventory.Devices(ctx)
	if err == nil {
		m.leases.Mark(devices)
	}
	return devices, err
}
