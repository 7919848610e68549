package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// minSamples is the minimum number of samples in which a device must be free.
const minSamples = 3

// Verdict is the gate's answer to one sample.
type Verdict struct {
	Result Result `json:"result"`
	// UUID is the free device; only with Open.
	UUID string `json:"uuid,omitempty"`
	// Best is the device that is closest to being free in this sample; nil if none was seen.
	Best *Device `json:"best,omitempty"`
	// Holders are the processes on Best that are not ignored, the largest first.
	Holders []Process `json:"holders,omitempty"`
	// Text describes the verdict in one sentence.
	Text string `json:"text"`
}

// Result is the gate's answer.
type Result string

// The results. Waiting is inconclusive; the other two are final.
const (
	Waiting Result = "waiting"
	Open    Result = "open"
	Shut    Result = "shut" // Config.Wait is over, or the driver has a fault that waiting does not fix
)

// Gate decides when a device has been free for long enough. It is pure: it uses only the samples and times that it is
// given.
type Gate struct {
	config Config
	need   Need
	start  time.Time
	free   map[string]stretch // by UUID: since when each device has been free without a gap
	final  *Verdict
}

type stretch struct {
	since   time.Time
	samples int
}

// NewGate returns a gate whose wait begins now. The configuration must be valid.
func NewGate(config Config, need Need, now time.Time) *Gate {
	return &Gate{config: config, need: need, start: now, free: map[string]stretch{}}
}

// Every returns the pause between two samples: a sixth of stable_for, but at least 200 ms and at most 5 s.
func (g *Gate) Every() time.Duration {
	return min(max(g.config.StableFor.D()/(2*minSamples), 200*time.Millisecond), 5*time.Second)
}

// Again reverts an Open verdict if the device could not be taken after all. The wait is not restarted.
func (g *Gate) Again() {
	g.final = nil
	clear(g.free)
}

// Sample judges one answer of an Inventory. A device that is missing in the answer, or whose values that the conditions
// need are unknown, is not known to have been free: the time for which it has been free starts again. After a final
// verdict every call returns that verdict, until Again.
func (g *Gate) Sample(now time.Time, devices []Device, err error) Verdict {
	if g.final != nil {
		return *g.final
	}
	if err != nil {
		clear(g.free)
		v := Verdict{Result: Waiting, Text: "the free GPU memory is unknown: " + err.Error()}
		if Lasting(err) {
			v.Result = Shut
			g.final = &v
			return v
		}
		return g.conclude(now, v)
	}
	if best := g.open(now, devices); best != nil {
		text := fmt.Sprintf("GPU %d has %s free, for %s", best.Index, best.Free, short(now.Sub(g.free[best.UUID].since)))
		if best.ProcessError != "" {
			text += "; it is unknown which other programs use it (" + best.ProcessError + ")"
		}
		v := Verdict{Result: Open, UUID: best.UUID, Best: best, Text: text}
		g.final = &v
		return v
	}
	return g.conclude(now, g.describe(now, devices))
}

// open updates the times since which the devices have been free, and returns the device to take, nil if none was free
// for long enough. Of several it takes the one with the fewest processes, then the smallest, to leave large ones for
// runs that need them.
func (g *Gate) open(now time.Time, devices []Device) *Device {
	before := g.free
	g.free = make(map[string]stretch, len(devices))
	var ready []Device
	for _, d := range devices {
		if g.config.obstacle(d, g.need) != "" {
			continue
		}
		run, ok := before[d.UUID]
		if !ok {
			run.since = now
		}
		run.samples++
		g.free[d.UUID] = run
		if run.samples >= minSamples && now.Sub(run.since) >= g.config.StableFor.D() {
			ready = append(ready, d)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	best := slices.MinFunc(ready, func(a, b Device) int {
		return cmp.Or(
			cmp.Compare(len(a.Processes), len(b.Processes)),
			cmp.Compare(a.Total.Size, b.Total.Size),
			cmp.Compare(a.Index, b.Index),
		)
	})
	return &best
}

// describe returns what is missing on the best device: one without an obstacle, else the one with the most free memory.
func (g *Gate) describe(now time.Time, devices []Device) Verdict {
	if len(devices) == 0 {
		return Verdict{Result: Waiting, Text: "this machine has no GPU"}
	}
	rank := func(d Device) int {
		_, free := g.free[d.UUID]
		switch {
		case free:
			return 3
		case d.Split:
			return 0
		case d.Free.State == Known:
			return 2
		default:
			return 1
		}
	}
	best := slices.MaxFunc(devices, func(a, b Device) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Free.Size, b.Free.Size))
	})
	v := Verdict{Result: Waiting, Best: &best, Holders: g.config.Holders(best)}
	if run, free := g.free[best.UUID]; free {
		v.Text = fmt.Sprintf(
			"GPU %d has %s free, for %s of the required %s",
			best.Index,
			best.Free,
			short(now.Sub(run.since)),
			g.config.StableFor,
		)
		return v
	}
	v.Text = fmt.Sprintf("GPU %d %s", best.Index, g.config.obstacle(best, g.need))
	return v
}

// Consider judges one sample without waiting: Open means that a device may be taken as it is now.
func Consider(c Config, need Need, devices []Device) Verdict {
	gate := NewGate(c, need, time.Time{})
	gate.open(time.Time{}, devices)
	v := gate.describe(time.Time{}, devices)
	if len(gate.free) == 0 {
		return v
	}
	v.Result, v.UUID, v.Text = Open, v.Best.UUID, fmt.Sprintf("GPU %d has %s free", v.Best.Index, v.Best.Free)
	return v
}

// conclude turns the verdict into Shut if the wait is over.
func (g *Gate) conclude(now time.Time, v Verdict) Verdict {
	if now.Sub(g.start) < g.config.Wait.D() {
		return v
	}
	v.Result = Shut
	v.Text = fmt.Sprintf("gave up after %s: %s", g.config.Wait, v.Text)
	g.final = &v
	return v
}

// short rounds a duration for a sentence.
func short(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
