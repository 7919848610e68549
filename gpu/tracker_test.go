package gpu

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

const oneGiB = 1 << 30

// shown returns a 24 GiB device with some processes; those of the step have PIDs from 1000 on.
func shown(used float64, processes ...Process) Device {
	return Device{
		Index: 0, UUID: "GPU-a", Total: Bytes(24 * oneGiB), Used: Bytes(uint64(used * oneGiB)),
		Free:        Bytes(uint64((24 - used) * oneGiB)),
		Utilization: Number(90), Processes: processes,
	}
}

func holding(pid int, gib float64, name string) Process {
	return Process{PID: pid, Name: name, Used: Bytes(uint64(gib * oneGiB))}
}

func ofStep(pid int) (mine, there bool) { return pid >= 1000, true }

func TestTracker(t *testing.T) {
	t.Parallel()
	desktop, train := holding(7, 0.5, "Xorg"), holding(1000, 10, "python3")
	type look struct {
		device  Device
		err     error
		none    bool // the driver does not list the device
		finding string
	}
	lost := &ProbeError{FaultLost, "read memory of GPU 0: GPU is lost (a reboot is needed)"}
	hang := &ProbeError{FaultHang, "no answer within 5s"}
	for name, looks := range map[string][]look{
		"alone": {{device: shown(10.5, desktop, train)}, {device: shown(20.5, desktop, holding(1000, 20, "python3"))}},
		"an intruder, once": {
			{device: shown(10.5, desktop, train)},
			{device: shown(14.5, desktop, train, holding(42, 4, "ollama")), finding: "GPU 0 is also used by ollama, pid 42, 4.0 GiB"},
			{device: shown(15.5, desktop, train, holding(42, 5, "ollama"))},
		},
		"an intruder that comes back": {
			{device: shown(14.5, desktop, train, holding(42, 4, "ollama")), finding: "also used by ollama"},
			{device: shown(10.5, desktop, train)},
			{device: shown(14.5, desktop, train, holding(42, 4, "ollama")), finding: "also used by ollama"},
		},
		"the desktop and what may stay": {
			{device: shown(10.9, desktop, train, holding(8, 0.2, "gnome-shell"), holding(9, 0.2, "whisper"),
				Process{PID: 10, Graphics: true, Used: Bytes(oneGiB / 10)})},
		},
		"who was there takes more": {
			{device: shown(13.5, holding(7, 3.5, "Xorg"), train), finding: "GPU 0 has 3.0 GiB less memory for the step than when the step began; most of it is used by Xorg, pid 7, 3.5 GiB"},
			{device: shown(14.5, holding(7, 4.5, "Xorg"), train)},
			{device: shown(16.5, holding(7, 6.5, "Xorg"), train), finding: "6.0 GiB less"},
		},
		"unexplained memory": {{device: shown(12.5, desktop, train), finding: "GPU 0 has 2.0 GiB less memory for the step than when the step began; the driver does not list a process that uses it"}},
		"lost":               {{err: lost, finding: "GPU 0: read memory of GPU 0: GPU is lost"}, {err: lost}},
		"gone from the list": {
			{none: true, finding: "GPU 0: the driver no longer lists it"},
			{none: true},
			{device: shown(10.5, desktop, train)},
			{none: true, finding: "no longer lists it"},
		},
		"blind": {
			{err: hang},
			{err: hang, finding: "GPU 0: it is unknown which programs use it: query NVIDIA's driver: no answer within 5s"},
			{err: hang},
			{device: shown(10.5, desktop, train)},
			{err: hang},
			{err: hang, finding: "it is unknown which programs use it"},
		},
		"a process of ours that has just ended": {
			{device: shown(10.5, desktop, train, Process{PID: 500, Gone: true, Used: Bytes(oneGiB)})},
		},
	} {
		tr := newTracker(Config{Ignore: []string{"whisper"}}, shown(0.5, desktop), true, ofStep)
		for i, l := range looks {
			devices := []Device{l.device}
			if l.none || l.err != nil {
				devices = nil
			} else {
				devices[0].Distrust = distrust(devices[0])
			}
			got := tr.look(devices, l.err)
			if l.finding == "" && len(got) > 0 ||
				l.finding != "" && (len(got) != 1 || !strings.Contains(got[0].Text, l.finding)) {
				t.Errorf("%s, look %d: got %+v, want %q", name, i, got, l.finding)
			}
		}
	}
}

// After a restart during a step, the daemon treats running processes as there from the start, but counts the step's own
// memory.
func TestTrackerJoinsLate(t *testing.T) {
	t.Parallel()
	tr := newTracker(Config{}, Device{UUID: "GPU-a"}, false, ofStep)
	old := holding(42, 4, "ollama")
	if got := tr.look([]Device{shown(14, old, holding(1000, 10, "python3"))}, nil); len(got) != 0 {
		t.Errorf("the first look: %+v", got)
	}
	got := tr.look([]Device{shown(21, old, holding(1000, 16, "python3"), holding(43, 1, "python3"))}, nil)
	if len(got) != 1 || got[0].Process == nil || got[0].Process.PID != 43 {
		t.Errorf("a new one: %+v", got)
	}
	if u := tr.usage; u.Peak != Bytes(16*oneGiB) || u.Free != 20*oneGiB {
		t.Errorf("usage: %+v", u)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tr := newTracker(Config{}, shown(0.5), true, ofStep)
	for i, gib := range []float64{2, 18, 5, 5} {
		d := shown(gib+0.5, holding(1000, gib-1, "python3"), holding(1001, 1, "python3"))
		if i == 3 {
			d.Utilization = Number(1)
		}
		tr.look([]Device{d}, nil)
	}
	if u := tr.usage; u.Peak != Bytes(18*oneGiB) || u.Free != shown(0.5).Free.Size || u.Idle != 0.25 || u.Busy != 4 {
		t.Errorf("got %+v", u)
	}
	// Without a list, the growth since the start counts as the step's.
	tr = newTracker(Config{}, shown(0.5), true, ofStep)
	d := shown(6.5)
	d.ProcessState, d.ProcessError = Unsupported, "the device does not list its processes"
	tr.look([]Device{d}, nil)
	if u := tr.usage; u.Peak != Bytes(6*oneGiB) {
		t.Errorf("without a list: %+v", u)
	}
	if u := newTracker(Config{}, shown(0), true, ofStep).usage; u.Peak.State == Known {
		t.Errorf("without a look: %+v", u)
	}
}

// A program that comes and goes does not fill the outbox.
func TestFindingsAreBounded(t *testing.T) {
	t.Parallel()
	tr := newTracker(Config{}, shown(0), true, ofStep)
	told := 0
	for i := range 1000 {
		d := shown(0)
		if i%2 == 0 {
			d = shown(1, holding(42, 1, "ollama"))
		}
		told += len(tr.look([]Device{d}, nil))
	}
	if told != mostFindings {
		t.Errorf("%d findings", told)
	}
}

// asked is an Inventory that calls a function.
type asked func(ctx context.Context) ([]Device, error)

func (f asked) Devices(ctx context.Context) ([]Device, error) { return f(ctx) }

// An intruder is named within 5 s of its start.
func TestWatcherNamesInTime(t *testing.T) {
	t.Parallel()
	for _, comes := range []time.Duration{0, 100 * time.Millisecond, 1900 * time.Millisecond, 3 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			inv := asked(func(context.Context) ([]Device, error) {
				if time.Since(start) < comes {
					return []Device{shown(10, holding(1000, 10, "python3"))}, nil
				}
				return []Device{shown(14, holding(1000, 10, "python3"), holding(42, 4, "ollama"))}, nil
			})
			ctx, stop := context.WithCancel(t.Context())
			xids := make(chan Xid)
			var at time.Duration
			var kinds []FindingKind
			w := Watcher{Inventory: inv, Device: shown(0), Mine: ofStep, Xids: xids}
			time.AfterFunc(2*time.Hour, stop)
			time.AfterFunc(90*time.Minute, func() { xids <- 79 })
			usage := w.Run(ctx, func(f Finding) {
				if kinds = append(kinds, f.Kind); f.Kind == FoundIntruder {
					at = time.Since(start)
				}
			})
			if late := at - comes; late < 0 || late > 5*time.Second {
				t.Errorf("came after %s, named %s later", comes, late)
			}
			if !slices.Equal(kinds, []FindingKind{FoundIntruder, FoundXid}) || usage.Peak != Bytes(10*oneGiB) {
				t.Errorf("found %v, usage %+v", kinds, usage)
			}
		})
	}
}

func TestXidCause(t *testing.T) {
	t.Parallel()
	for x, want := range map[Xid]Cause{
		13: CauseProgram, 31: CauseProgram, 43: CauseProgram, 45: CauseProgram,
		48: CauseHardware, 74: CauseHardware, 79: CauseHardware,
		94: CauseHardware, 95: CauseHardware, 119: CauseHardware, 9999: CauseUnknown,
	} {
		if got := x.Cause(); got != want {
			t.Errorf("Xid %d: %s, want %s", x, got, want)
		}
	}
	for _, x := range programXids {
		if slices.Contains(hardwareXids, x) {
			t.Errorf("Xid %d is in both lists", x)
		}
	}
}

func TestOwned(t *testing.T) {
	t.Parallel()
	const mine = "RETRAIND_ATTEMPT=r/train/a1"
	proc := fstest.MapFS{
		"1/environ": {}, "1/stat": {Data: []byte("1 (init) S 0 1")},
		"10/environ": {Data: []byte("PATH=/bin\x00" + mine + "\x00HOME=/")}, "10/stat": {Data: []byte("10 (sh) S 1 10")},
		"11/environ": {
			Data: []byte("PATH=/bin\x00"),
		}, "11/stat": {Data: []byte("11 (a (b) c) S 10 10")}, // cleared its environment
		"12/environ": {Data: []byte("PATH=/bin\x00" + mine + "0\x00")}, "12/stat": {Data: []byte("12 (sh) S 1 12")},
	}
	owned := Owned(proc, mine)
	for pid, want := range map[int][2]bool{
		10: {true, true}, 11: {true, true}, 12: {false, true}, 1: {false, true}, 99: {false, false},
	} {
		if mine, there := owned(pid); [2]bool{mine, there} != want {
			t.Errorf("pid %d: %v %v, want %v", pid, mine, there, want)
		}
	}
	if mine, there := Owned(nil, mine)(1); mine || !there {
		t.Errorf("the host's first process: %v %v", mine, there)
	}
}
