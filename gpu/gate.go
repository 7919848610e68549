package gpu

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// minSamples is how often the memory must have been seen free; one look proves nothing.
const minSamples = 3

// Verdict is what the gate says to one sample.
type Verdict struct {
	Result Result `json:"result"`
	// UUID is the device that is free; only with Open.
	UUID string `json:"uuid,omitempty"`
	// Best is the device that comes nearest, as seen in this sample; nil when none could be seen.
	Best *Device `json:"best,omitempty"`
	// Holders are the processes on Best that are not ignored, the largest first.
	Holders []Process `json:"holders,omitempty"`
	// Text says all this in one sentence.
	Text string `json:"text"`
}

// Result is the gate's answer.
type Result string

// The results. Waiting is inconclusive; the other two are final.
const (
	Waiting Result = "waiting"
	Open    Result = "open"
	Shut    Result = "shut" // Config.Wait is over
)

// Gate decides when a device has been free for long enough. It is pure: it knows only the samples it is given, with
// their times, and never asks for one.
type Gate struct {
	config Config
	start  time.Time
	free   map[string]stretch // by UUID: for how long each device has been free without a gap
	final  *Verdict
}

type stretch struct {
	since   time.Time
	samples int
}

// NewGate returns a gate whose waiting time begins now. The configuration must be valid.
func NewGate(config Config, now time.Time) *Gate {
	return &Gate{config: config, start: now, free: map[string]stretch{}}
}

// Every is the pause between two samples that the gate is made for: some in each stable_for, and at least one in 5 s.
func (g *Gate) Every() time.Duration {
	return min(max(g.config.StableFor.D()/(2*minSamples), 200*time.Millisecond), 5*time.Second)
}

// Sample judges what an Inventory answered at a time. A failed answer, and a device whose memory is not known, break the
// stretch: what was not seen was not free. After a final verdict every call returns it again.
func (g *Gate) Sample(now time.Time, devices []Device, err error) Verdict {
	if g.final != nil {
		return *g.final
	}
	if err != nil {
		clear(g.free)
		return g.conclude(now, Verdict{Result: Waiting, Text: "cannot tell what is free: " + err.Error()})
	}
	g.forget(devices)
	for _, d := range devices {
		if d.Free.State != Known || d.Free.Size < g.config.Free {
			delete(g.free, d.UUID)
			continue
		}
		run, ok := g.free[d.UUID]
		if !ok {
			run.since = now
		}
		run.samples++
		g.free[d.UUID] = run
		if run.samples >= minSamples && now.Sub(run.since) >= g.config.StableFor.D() {
			v := Verdict{Result: Open, UUID: d.UUID, Best: &d, Text: fmt.Sprintf("GPU %d has %s free, for %s", d.Index, d.Free, short(now.Sub(run.since)))}
			g.final = &v
			return v
		}
	}
	return g.conclude(now, g.describe(now, devices))
}

// forget drops stretches of devices that are gone.
func (g *Gate) forget(devices []Device) {
	for uuid := range g.free {
		if !slices.ContainsFunc(devices, func(d Device) bool { return d.UUID == uuid }) {
			delete(g.free, uuid)
		}
	}
}

// describe says what is missing, by the device that comes nearest.
func (g *Gate) describe(now time.Time, devices []Device) Verdict {
	if len(devices) == 0 {
		return Verdict{Result: Waiting, Text: "this machine has no GPU"}
	}
	best := slices.MaxFunc(devices, func(a, b Device) int {
		if (a.Free.State == Known) != (b.Free.State == Known) {
			if a.Free.State == Known {
				return 1
			}
			return -1
		}
		return int(a.Free.Size>>10) - int(b.Free.Size>>10)
	})
	v := Verdict{Result: Waiting, Best: &best, Holders: g.holders(best)}
	run, free := g.free[best.UUID]
	switch {
	case free:
		v.Text = fmt.Sprintf("GPU %d has %s free, for %s of %s", best.Index, best.Free, short(now.Sub(run.since)), g.config.StableFor)
	case best.Free.State != Known:
		v.Text = fmt.Sprintf("GPU %d: free memory is %s", best.Index, best.Free)
	default:
		v.Text = fmt.Sprintf("GPU %d has %s free, needs %s: %s", best.Index, best.Free, Amount(g.config.Free), blame(v.Holders, best))
	}
	return v
}

// conclude ends the waiting when its time is over.
func (g *Gate) conclude(now time.Time, v Verdict) Verdict {
	if now.Sub(g.start) < g.config.Wait.D() {
		return v
	}
	v.Result = Shut
	v.Text = fmt.Sprintf("gave up after %s: %s", g.config.Wait, v.Text)
	g.final = &v
	return v
}

// holders lists who is in the way.
func (g *Gate) holders(d Device) []Process {
	var list []Process
	for _, p := range d.Processes {
		if !slices.Contains(g.config.Ignore, p.Name) {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b Process) int { return int(b.Used.Size>>10) - int(a.Used.Size>>10) })
	return list
}

// blame names the holders, or says why nobody can be named.
func blame(holders []Process, d Device) string {
	switch {
	case len(holders) > 0:
		names := make([]string, 0, 3)
		for _, p := range holders[:min(3, len(holders))] {
			names = append(names, p.String())
		}
		if more := len(holders) - len(names); more > 0 {
			names = append(names, fmt.Sprintf("and %d more", more))
		}
		return "held by " + strings.Join(names, "; ")
	case d.ProcessError != "":
		return "the holder is not known (" + d.ProcessError + ")"
	case d.Total.State == Known && d.Used.State == Known && d.Used.Size == 0:
		return "the device itself is too small"
	default:
		return "the driver names no process that holds the rest"
	}
}

// short rounds a time for a sentence.
func short(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
