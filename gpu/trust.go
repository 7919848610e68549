package gpu

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// settle checks a driver's answer about a device against the host's /proc. It marks processes that do not exist, uses
// the host's memory for a chip that shares it, and sets Distrust.
func settle(proc fs.FS, d *Device) {
	for i := range d.Processes {
		p := &d.Processes[i]
		if _, err := fs.Stat(proc, strconv.Itoa(p.PID)); err != nil {
			p.Gone = true
		}
	}
	if unifiedPart.MatchString(d.Name) {
		unify(proc, d)
	}
	d.Distrust = distrust(*d)
}

// distrust returns why the list of processes cannot be true. A library and a kernel driver of different versions return
// garbage instead of an error.
func distrust(d Device) string {
	var sum uint64
	for _, p := range d.Processes {
		if p.Gone {
			return fmt.Sprintf(
				"the driver lists pid %d, which does not exist on this host: a process of another host or namespace, "+
					"or memory that was never freed (a reset of the GPU frees it)",
				p.PID,
			)
		}
		if p.Used.State != Known {
			continue
		}
		if sum += uint64(p.Used.Size); d.Total.State == Known && (p.Used.Size > d.Total.Size || sum > uint64(d.Total.Size)) {
			return fmt.Sprintf(
				"the driver lists processes with more memory than the device's %s: library and kernel driver may differ",
				d.Total,
			)
		}
	}
	return ""
}

// unifiedPart matches the names of NVIDIA's chips that share the host's memory.
var unifiedPart = regexp.MustCompile(`(?i)\b(GB10|N1X?|Orin|Xavier|Thor|Tegra|Jetson)\b`)

// unify uses the host's memory for a chip without memory of its own: its driver answers "not supported", or a value
// that is too low. MemAvailable is never used for a device that is not known to be such a chip.
func unify(proc fs.FS, d *Device) {
	d.Unified = true
	total, free, err := hostMemory(proc)
	if err != nil {
		refused := Reading{State: Failed, Detail: err.Error()}
		d.Total, d.Used, d.Free = refused, refused, refused
		return
	}
	d.Total, d.Free = Bytes(total), Bytes(free)
	d.Used = d.ProcessSum()
}

// hostMemory reads MemTotal and MemAvailable.
func hostMemory(proc fs.FS) (total, available uint64, err error) {
	text, err := fs.ReadFile(proc, "meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("read the host's memory: %w", err)
	}
	found := 0
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		into := map[string]*uint64{"MemTotal": &total, "MemAvailable": &available}[name]
		if into == nil {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 53)
		if err != nil {
			return 0, 0, fmt.Errorf("read the host's memory: %w", err)
		}
		*into = n << 10
		found++
	}
	if found != 2 {
		return 0, 0, fmt.Errorf("read the host's memory: no MemTotal and MemAvailable in /proc/meminfo")
	}
	return total, available, nil
}
