package gpu_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
)

const gib = 1 << 30

func config() gpu.Config {
	return gpu.Config{
		Free:      20 * gib,
		StableFor: unit.Duration(30 * time.Second),
		Wait:      unit.Duration(10 * time.Minute),
		Ignore:    []string{"Xorg"},
	}
}

// card returns a 24 GiB device.
func card(index int, freeGiB float64, processes ...gpu.Process) gpu.Device {
	free := uint64(freeGiB * gib)
	return gpu.Device{
		Index: index, UUID: []string{"GPU-aaaa", "GPU-bbbb"}[index], Name: "RTX 4090",
		Total: gpu.Bytes(24 * gib), Used: gpu.Bytes(24*gib - free), Free: gpu.Bytes(free), Processes: processes,
	}
}

var (
	epoch  = time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)
	ollama = gpu.Process{PID: 4711, Name: "ollama", Used: gpu.Bytes(18 * gib), Holder: gpu.Holder{Unit: "ollama.service"}}
	xorg   = gpu.Process{PID: 99, Name: "Xorg", Used: gpu.Bytes(gib / 2), Holder: gpu.Holder{Unit: "gdm.service"}}
)

// sample is one step of a scenario: the time in seconds, the answer of the inventory and the expected verdict.
type sample struct {
	at      int
	devices []gpu.Device
	err     error
	want    gpu.Result
	text    string
}

func TestGate(t *testing.T) {
	t.Parallel()
	one := func(d gpu.Device) []gpu.Device { return []gpu.Device{d} }
	unknown := card(0, 24)
	unknown.Free = gpu.Reading{State: gpu.Failed, Detail: "Unknown Error"}
	unified := card(0, 24)
	unified.Free = gpu.Reading{State: gpu.Unsupported}
	hidden := card(0, 4)
	hidden.ProcessState, hidden.ProcessError = gpu.Unsupported, "the driver has no list of compute processes"
	unlisted := card(0, 23)
	unlisted.ProcessState, unlisted.ProcessError = gpu.Unsupported, "the driver has no list of compute processes"
	refused := card(0, 23)
	refused.ProcessState, refused.ProcessError = gpu.Failed, "list compute processes: Insufficient Permissions"
	garbage := card(0, 23)
	garbage.Distrust = "the driver lists pid 4711, which does not exist on this host"
	split, leased := card(0, 23), card(0, 23)
	split.Split, leased.Lease = true, "run 01kb (pid 7)"
	small := gpu.Process{PID: 8, Name: "python3", Used: gpu.Bytes(gib), Holder: gpu.Holder{Unit: "session-3.scope"}}
	window := gpu.Process{PID: 9, Name: "firefox", Graphics: true, Used: gpu.Bytes(gib / 4)}
	allowed := gpu.Process{PID: 10, Name: "Xorg", Used: gpu.Bytes(gib / 4)}
	for name, story := range map[string][]sample{
		"free all the time": {
			{0, one(card(0, 23)), nil, gpu.Waiting, "GPU 0 has 23.0 GiB free, for 0s of the required 30s"},
			{15, one(card(0, 23)), nil, gpu.Waiting, "GPU 0 has 23.0 GiB free, for 15s of the required 30s"},
			{30, one(card(0, 22)), nil, gpu.Open, "GPU 0 has 22.0 GiB free, for 30s"},
			{31, one(card(0, 1)), nil, gpu.Open, "GPU 0 has 22.0 GiB free, for 30s"}, // final: later samples do not change it
		},
		"two samples prove nothing, however far apart": {
			{0, one(card(0, 23)), nil, gpu.Waiting, "for 0s"},
			{300, one(card(0, 23)), nil, gpu.Waiting, "for 5m0s"},
			{301, one(card(0, 23)), nil, gpu.Open, "for 5m1s"},
		},
		"a holder comes back": {
			{0, one(card(0, 23)), nil, gpu.Waiting, ""},
			{29, one(card(0, 23)), nil, gpu.Waiting, ""},
			{30, one(card(0, 5, xorg, ollama)), nil, gpu.Waiting, "GPU 0 has 5.0 GiB free, a run needs 20.0 GiB; the memory is held by ollama of ollama.service, pid 4711, 18.0 GiB"},
			{40, one(card(0, 23)), nil, gpu.Waiting, "for 0s"},
			{55, one(card(0, 23)), nil, gpu.Waiting, "for 15s"},
			{70, one(card(0, 23)), nil, gpu.Open, "for 30s"},
		},
		"a probe that fails breaks the stretch": {
			{0, one(card(0, 23)), nil, gpu.Waiting, ""},
			{15, one(card(0, 23)), nil, gpu.Waiting, ""},
			{29, nil, &gpu.ProbeError{Fault: gpu.FaultHang, Detail: "no answer within 5s"}, gpu.Waiting, "the free GPU memory is unknown: query NVIDIA's driver: no answer within 5s"},
			{31, one(card(0, 23)), nil, gpu.Waiting, "for 0s"},
		},
		"unknown is not free": {
			{0, one(unknown), nil, gpu.Waiting, "GPU 0 does not report how much memory is free: unknown (Unknown Error)"},
			{600, one(unknown), nil, gpu.Shut, "gave up after 10m: GPU 0 does not report how much memory is free: unknown"},
		},
		"unsupported is not free": {
			{0, one(unified), nil, gpu.Waiting, "not supported by this device"},
			{60, one(unified), nil, gpu.Waiting, ""},
			{99, one(unified), nil, gpu.Waiting, ""},
		},
		"no holder to name": {
			{0, one(hidden), nil, gpu.Waiting, "it is unknown what uses the other memory: the driver has no list of compute processes"},
		},
		"memory without a list of processes is believed, and reported": {
			{0, one(unlisted), nil, gpu.Waiting, "for 0s"},
			{15, one(unlisted), nil, gpu.Waiting, ""},
			{30, one(unlisted), nil, gpu.Open, "it is unknown which other programs use it (the driver has no list of compute processes)"},
		},
		"a list that was refused": {
			{0, one(refused), nil, gpu.Waiting, "GPU 0 may be in use by unknown processes: list compute processes: Insufficient Permissions"},
			{60, one(refused), nil, gpu.Waiting, ""},
		},
		"a list that is not true": {
			{0, one(garbage), nil, gpu.Waiting, "by unknown processes: the driver lists pid 4711"},
			{60, one(garbage), nil, gpu.Waiting, ""},
		},
		"a whole GPU in MIG mode": {
			{0, one(split), nil, gpu.Waiting, "only its instances can be used"},
			{60, one(split), nil, gpu.Waiting, ""},
		},
		"leased": {
			{0, one(leased), nil, gpu.Waiting, "is leased by run 01kb (pid 7)"},
			{60, one(leased), nil, gpu.Waiting, ""},
		},
		"company, with enough left": {
			{0, one(card(0, 22, small)), nil, gpu.Waiting, "has enough memory, but is in use by python3 of session-3.scope, pid 8, 1.0 GiB"},
			{60, one(card(0, 22, small)), nil, gpu.Waiting, ""},
		},
		"a desktop is no company": {
			{0, one(card(0, 22, window, allowed)), nil, gpu.Waiting, "for 0s"},
			{15, one(card(0, 22, window, allowed)), nil, gpu.Waiting, ""},
			{30, one(card(0, 22, window, allowed)), nil, gpu.Open, ""},
		},
		"a driver that is not there": {
			{0, nil, &gpu.ProbeError{Fault: gpu.FaultNoDriver, Detail: "not installed"}, gpu.Shut, "the free GPU memory is unknown: query NVIDIA's driver: not installed"},
		},
		"the emptier of two": {
			{0, []gpu.Device{card(0, 23, window), card(1, 22)}, nil, gpu.Waiting, ""},
			{15, []gpu.Device{card(0, 23, window), card(1, 22)}, nil, gpu.Waiting, ""},
			{30, []gpu.Device{card(0, 23, window), card(1, 22)}, nil, gpu.Open, "GPU 1 "},
		},
		"no GPU": {{0, nil, nil, gpu.Waiting, "this machine has no GPU"}},
		"the second device is free": {
			{0, []gpu.Device{card(0, 4, ollama), card(1, 23)}, nil, gpu.Waiting, "GPU 1 has 23.0 GiB free"},
			{15, []gpu.Device{card(0, 4, ollama), card(1, 23)}, nil, gpu.Waiting, ""},
			{30, []gpu.Device{card(0, 4, ollama), card(1, 23)}, nil, gpu.Open, "GPU 1"},
		},
		"two devices in turn never add up": {
			{0, []gpu.Device{card(0, 23), card(1, 2)}, nil, gpu.Waiting, ""},
			{15, []gpu.Device{card(0, 2), card(1, 23)}, nil, gpu.Waiting, ""},
			{30, []gpu.Device{card(0, 23), card(1, 2)}, nil, gpu.Waiting, ""},
			{45, []gpu.Device{card(0, 2), card(1, 23)}, nil, gpu.Waiting, ""},
		},
		"a vanished device starts from the beginning": {
			{0, one(card(0, 23)), nil, gpu.Waiting, ""},
			{15, nil, nil, gpu.Waiting, ""},
			{30, one(card(0, 23)), nil, gpu.Waiting, "for 0s"},
		},
		"fails closed with the holder's name": {
			{0, one(card(0, 4, ollama)), nil, gpu.Waiting, ""},
			{600, one(card(0, 4, ollama)), nil, gpu.Shut, "gave up after 10m: GPU 0 has 4.0 GiB free, a run needs 20.0 GiB; the memory is held by ollama of ollama.service"},
			{700, one(card(0, 23)), nil, gpu.Shut, "gave up"}, // final: later samples do not change it
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := gpu.NewGate(config(), gpu.Need{}, epoch)
			for _, s := range story {
				v := gate.Sample(epoch.Add(time.Duration(s.at)*time.Second), s.devices, s.err)
				if v.Result != s.want || !strings.Contains(v.Text, s.text) {
					t.Errorf("at %d s: got %s %q, want %s %q", s.at, v.Result, v.Text, s.want, s.text)
				}
				if strings.Contains(v.Text, "Xorg") {
					t.Errorf("at %d s: an ignored program is blamed: %s", s.at, v.Text)
				}
			}
		})
	}
}

// With max_used the card must be nearly empty and have the memory that earlier runs needed.
func TestGateByMaxUsed(t *testing.T) {
	t.Parallel()
	c := config()
	c.Free, c.MaxUsed = 0, 500<<20
	unknown := card(0, 24)
	unknown.Used = gpu.Reading{State: gpu.Unsupported}
	for _, tc := range []struct {
		name   string
		need   gpu.Need
		device gpu.Device
		open   bool
		text   string
	}{
		{"empty", gpu.Need{}, card(0, 24), true, ""},
		{"a desktop", gpu.Need{}, card(0, 23.6), true, ""},
		{"too much", gpu.Need{}, card(0, 23.5), false, "GPU 0 has 512 MiB in use, 500 MiB is allowed"},
		{"unknown", gpu.Need{}, unknown, false, "does not report how much memory is used: not supported"},
		{"empty, and too small", gpu.Need{Size: 30 * gib, Runs: 3}, card(0, 24), false, "GPU 0 has 24.0 GiB free, a run needs 30.0 GiB (measured in the last 3 runs); the device is too small"},
	} {
		gate := gpu.NewGate(c, tc.need, epoch)
		var v gpu.Verdict
		for at := range 4 {
			v = gate.Sample(epoch.Add(time.Duration(at)*15*time.Second), []gpu.Device{tc.device}, nil)
		}
		if (v.Result == gpu.Open) != tc.open || !strings.Contains(v.Text, tc.text) {
			t.Errorf("%s: got %s %q, want open: %v, %q", tc.name, v.Result, v.Text, tc.open, tc.text)
		}
	}
}

// For any samples, the gate opens only if the last ones showed the device free for stable_for, without a gap.
func TestGateOpensOnlyAfterAStretch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		gate := gpu.NewGate(config(), gpu.Need{}, epoch)
		now := epoch
		freeSince := map[string]time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "samples") {
			now = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "pause")) * time.Second)
			var devices []gpu.Device
			var err error
			if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
				err = errors.New("broken")
				clear(freeSince)
			} else {
				for index := range 2 {
					d := card(index, rapid.SampledFrom([]float64{1, 19.9, 20, 23, 23, 23}).Draw(t, "free"))
					if devices = append(devices, d); d.Free.Size < 20*gib {
						delete(freeSince, d.UUID)
					} else if _, ok := freeSince[d.UUID]; !ok {
						freeSince[d.UUID] = now
					}
				}
			}
			v := gate.Sample(now, devices, err)
			if v.Result == gpu.Open {
				since, ok := freeSince[v.UUID]
				if !ok || now.Sub(since) < 30*time.Second {
					t.Fatalf("opened %s, free only since %s before", v.UUID, now.Sub(since))
				}
				return
			}
			if v.Result == gpu.Shut {
				return
			}
		}
	})
}

func BenchmarkGate(b *testing.B) {
	gate := gpu.NewGate(config(), gpu.Need{}, epoch)
	devices := []gpu.Device{card(0, 4, ollama, xorg), card(1, 5, ollama)}
	b.ReportAllocs()
	for b.Loop() {
		gate.Sample(epoch, devices, nil)
	}
}
