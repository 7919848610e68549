package gpu

import (
	"errors"
	"slices"

	"github.com/retraind/retraind/internal/unit"
)

const (
	// leastPressure is the smallest growth of other programs that is reported; for large cards the threshold is higher.
	leastPressure = 512 << 20
	pressureShare = 0.02
	// blindAfter is the number of consecutive failed samples after which the failure is reported.
	blindAfter = 2
	// mostFindings limits the findings of one watcher, because a program that comes and goes every few seconds would
	// otherwise fill the outbox.
	mostFindings = 30
	// idleBelow is the utilisation, in percent, below which a device counts as idle.
	idleBelow = 5
)

// Usage is how a step used its device.
type Usage struct {
	Peak Reading   // the most that its processes held at the same time
	Free unit.Size // free memory when it began
	Idle float64   // share of the samples in which the device was idle, in [0, 1]
	Busy int       // samples that include the utilization; with 0, Idle is meaningless
}

// tracker compares a device with its state when the step began. It is pure, like Gate.
type tracker struct {
	config Config
	start  Device
	known  bool                             // start is the device before the step; otherwise the first sample sets it
	mine   func(pid int) (mine, there bool) // reports whether a process belongs to the step, and whether it still runs
	there  map[int]bool                     // other processes in the previous sample, at first those from before the step
	said   unit.Size                        // reported growth of others
	failed int                              // failed samples in a row
	lost   bool                             // reported
	blind  bool                             // reported
	usage  Usage
	idle   int
	told   int
}

func newTracker(config Config, start Device, known bool, mine func(pid int) (mine, there bool)) *tracker {
	t := &tracker{config: config, mine: mine, known: known}
	t.begin(start)
	return t
}

// begin stores the state of the device before the step.
func (t *tracker) begin(d Device) {
	t.start, t.there = d, map[int]bool{}
	t.usage.Peak = Reading{State: Unsupported}
	t.usage.Free = d.Free.Size
	for _, p := range d.Processes {
		t.there[p.PID] = true
	}
}

// look compares one answer of the inventory with the state at the start.
func (t *tracker) look(devices []Device, err error) []Finding {
	d, findings := t.find(devices, err)
	if d != nil {
		findings = append(findings, t.compare(*d)...)
	}
	return t.bounded(findings)
}

func (t *tracker) bounded(findings []Finding) []Finding {
	findings = findings[:min(len(findings), max(0, mostFindings-t.told))]
	t.told += len(findings)
	return findings
}

// find looks for the device. It reports a second failed query in a row, and then no further failure until a query
// succeeds.
func (t *tracker) find(devices []Device, err error) (*Device, []Finding) {
	var probe *ProbeError
	if errors.As(err, &probe) && probe.Fault == FaultLost {
		return nil, t.gone(probe.Detail)
	}
	if err != nil {
		if t.failed++; t.failed < blindAfter || t.blind {
			return nil, nil
		}
		t.blind = true
		return nil, []Finding{t.trouble(FoundBlind, "it is unknown which programs use it: "+err.Error())}
	}
	t.failed, t.blind = 0, false
	i := slices.IndexFunc(devices, func(d Device) bool { return d.UUID == t.start.UUID })
	if i < 0 {
		return nil, t.gone("the driver no longer lists it (see dmesg; a reboot may be needed)")
	}
	t.lost = false
	return &devices[i], nil
}

func (t *tracker) gone(why string) []Finding {
	if t.lost {
		return nil
	}
	t.lost = true
	return []Finding{t.trouble(FoundLost, why)}
}

// compare separates the step's processes from the others, counts the step's usage, and returns new intruders and
// growth.
func (t *tracker) compare(d Device) []Finding {
	var own, intruders unit.Size
	var others []Process
	var findings []Finding
	complete := d.ProcessSum().State == Known
	for _, p := range d.Processes {
		mine, there := t.mine(p.PID)
		switch {
		case mine:
			own += p.Used.Size
		case there && !p.Gone:
			others = append(others, p)
		}
	}
	if !t.known { // the step was already running: take the present processes as those before its start
		t.known = true
		d.Processes = others
		if complete && d.Used.State == Known {
			d.Used.Size, d.Free.Size = max(0, d.Used.Size-own), d.Free.Size+own
		}
		t.begin(d)
	}
	for _, p := range others {
		foreign := p.computes() && !t.config.ignores(p) &&
			!slices.ContainsFunc(t.start.Processes, func(q Process) bool { return q.PID == p.PID })
		if foreign {
			intruders += p.Used.Size
		}
		if foreign && !t.there[p.PID] {
			findings = append(findings, t.intruder(p))
		}
	}
	t.there = map[int]bool{}
	for _, p := range others {
		t.there[p.PID] = true
	}
	t.count(d, own, complete)
	if complete && d.Used.State == Known && t.start.Used.State == Known {
		findings = append(findings, t.growth(d, others, d.Used.Size-own-intruders-t.start.Used.Size)...)
	}
	return findings
}

// count updates the step's peak and the utilization.
func (t *tracker) count(d Device, own unit.Size, complete bool) {
	if d.Distrust != "" {
		return // e.g. a process of the step that has just ended
	}
	if !complete { // without the list, take the growth of used memory since the start
		if d.Used.State != Known || t.start.Used.State != Known {
			return
		}
		own = max(0, d.Used.Size-t.start.Used.Size)
	}
	t.usage.Peak = Bytes(uint64(max(t.usage.Peak.Size, own)))
	if d.Utilization.State == Known {
		t.usage.Busy++
		if d.Utilization.Value < idleBelow {
			t.idle++
		}
		t.usage.Idle = float64(t.idle) / float64(t.usage.Busy)
	}
}

// growth reports that programs other than intruders use more memory than at the start. It reports this again whenever
// the growth has doubled.
func (t *tracker) growth(d Device, others []Process, grown unit.Size) []Finding {
	least := max(unit.Size(leastPressure), unit.Size(pressureShare*float64(d.Total.Size)))
	if grown < least || grown < 2*t.said {
		return nil
	}
	t.said = grown
	var most *Process
	var by unit.Size
	for _, p := range others {
		before := unit.Size(0)
		for _, q := range t.start.Processes {
			if q.PID == p.PID {
				before = q.Used.Size
			}
		}
		if p.Used.Size-before > by {
			by, most = p.Used.Size-before, &p
		}
	}
	return []Finding{t.pressure(grown, most)}
}
