package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// obstacle returns why a training may not start on a device as it is now, as a phrase that follows the device's name;
// "" if it may. An unknown value is an obstacle if a condition needs it.
func (c Config) obstacle(d Device, need Need) string {
	switch {
	case d.Split:
		return "is in MIG mode: only its instances can be used"
	case d.Lease != "":
		return "is leased by " + d.Lease
	}
	if why := c.short(d, need); why != "" {
		return why
	}
	return c.company(d)
}

// Fits reports whether a training may start on a device as it is now.
func (c Config) Fits(d Device, need Need) bool { return c.obstacle(d, need) == "" }

// short returns which of the conditions on memory the device does not meet; "" if it meets them.
func (c Config) short(d Device, need Need) string {
	if want := c.wants(need); want > 0 {
		switch {
		case d.Free.State != Known:
			return "does not report how much memory is free: " + d.Free.String()
		case d.Free.Size < want:
			return fmt.Sprintf("has %s free, a run needs %s%s; %s", d.Free, Amount(want), need.by(c), c.blame(d))
		}
	}
	if c.MaxUsed > 0 {
		switch {
		case d.Used.State != Known:
			return "does not report how much memory is used: " + d.Used.String()
		case d.Used.Size > c.MaxUsed:
			return fmt.Sprintf("has %s in use, %s is allowed; %s", d.Used, Amount(c.MaxUsed), c.blame(d))
		}
	}
	return ""
}

// company returns which other program computes on the device, or that this is unknown. A device without a list of
// processes is judged by its memory only.
func (c Config) company(d Device) string {
	switch {
	case d.Distrust != "":
		return "may be in use by unknown processes: " + d.Distrust
	case d.ProcessError != "" && d.ProcessState != Unsupported:
		return "may be in use by unknown processes: " + d.ProcessError
	}
	if foreign := slices.DeleteFunc(c.Holders(d), func(p Process) bool { return !p.computes() }); len(foreign) > 0 {
		return "has enough memory, but is in use by " + list(foreign)
	}
	return ""
}

// computes reports whether a process does more than draw and is no program of the desktop.
func (p Process) computes() bool { return !p.Graphics && p.Kind() != KindDesktop }

// Holders lists the processes on a device that are not ignored, the largest first.
func (c Config) Holders(d Device) []Process {
	var holders []Process
	for _, p := range d.Processes {
		if !c.ignores(p) {
			holders = append(holders, p)
		}
	}
	slices.SortStableFunc(holders, func(a, b Process) int { return cmp.Compare(b.Used.Size, a.Used.Size) })
	return holders
}

// blame names the holders of a device's memory, or why they are unknown.
func (c Config) blame(d Device) string {
	holders := c.Holders(d)
	switch {
	case d.Distrust != "":
		return "it is unknown what uses the other memory: " + d.Distrust
	case len(holders) > 0:
		return "the memory is held by " + list(holders)
	case d.ProcessError != "":
		return "it is unknown what uses the other memory: " + d.ProcessError
	case d.Total.State == Known && d.Used.State == Known && d.Used.Size == 0:
		return "the device is too small"
	default:
		return "the driver lists no process that uses the other memory"
	}
}

// list names up to three processes.
func list(processes []Process) string {
	names := make([]string, 0, 4)
	for _, p := range processes[:min(3, len(processes))] {
		names = append(names, p.String())
	}
	if more := len(processes) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, "; ")
}
