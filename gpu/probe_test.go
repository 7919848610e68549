package gpu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/waittest"
)

// scripted returns a probe whose child is a shell script.
func scripted(script string) *Probe {
	return &Probe{Command: []string{"/bin/sh", "-c", script}, Deadline: waittest.Patience, Proc: fstest.MapFS{
		"42/comm": {Data: []byte("ollama\n")}, "42/cgroup": {Data: []byte("0::/system.slice/ollama.service\n")},
	}}
}

type fixed struct {
	devices []Device
	err     error
}

func (f fixed) Devices(context.Context) ([]Device, error) { return f.devices, f.err }

func sample() []Device {
	return []Device{{
		Index: 0, UUID: "GPU-aaaa", Name: "RTX 4090", Total: Bytes(24 << 30), Used: Bytes(20<<30 + 1), Free: Bytes(4<<30 - 1),
		Processes: []Process{{PID: 42, Used: Bytes(18 << 30)}, {PID: 43, Used: Reading{State: Unsupported}}},
	}}
}

func TestProbeReadsWhatTheChildAnswers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if code := Answer(t.Context(), &out, fixed{devices: sample()}); code != 0 {
		t.Fatalf("Answer: exit status %d", code)
	}
	p := scripted("cat <<'EOF'\n" + out.String() + "EOF")
	got, err := p.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want[0].Processes[0].Name, want[0].Processes[0].Unit = "ollama", "ollama.service"
	want[0].Processes[1].Gone = true
	want[0].Distrust = distrust(want[0])
	if !strings.Contains(want[0].Distrust, "pid 43, which does not exist") {
		t.Errorf("distrust: %q", want[0].Distrust)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProbeFaults(t *testing.T) {
	t.Parallel()
	var lost bytes.Buffer
	fault := &ProbeError{FaultLost, "read memory of GPU 0: GPU is lost"}
	if code := Answer(t.Context(), &lost, fixed{err: fault}); code != 1 {
		t.Fatalf("Answer with a fault: exit status %d", code)
	}
	if !json.Valid(lost.Bytes()) {
		t.Fatalf("not JSON: %s", lost.String())
	}
	for _, tc := range []struct {
		name  string
		probe *Probe
		fault Fault
		text  string
	}{
		{"lost", scripted("cat <<'EOF'\n" + lost.String() + "EOF\nexit 1"), FaultLost, "GPU is lost"},
		{
			"symbol missing", scripted("echo retraind: symbol lookup error: undefined symbol: nvmlDeviceGetCount >&2; exit 127"),
			FaultMismatch, "undefined symbol: nvmlDeviceGetCount",
		},
		{"crash", scripted("kill -SEGV $$"), FaultCrash, "by a signal (segmentation fault)"},
		{"killed", scripted("kill -KILL $$"), FaultCrash, "by a signal (killed)"},
		{"garbage", scripted("echo GPU 0 is fine"), FaultFailed, "is not JSON"},
		{"silence", scripted(":"), FaultFailed, "is not JSON"},
		{"no program", &Probe{Command: []string{"/nonexistent/retraind", "gpu-probe"}}, FaultFailed, "start /nonexistent/retraind gpu-probe"},
		{"empty success with status", scripted("echo '{\"devices\":[]}'; exit 3"), FaultFailed, "exit status 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			devices, err := tc.probe.Devices(t.Context())
			var probe *ProbeError
			if !errors.As(err, &probe) || probe.Fault != tc.fault || !strings.Contains(err.Error(), tc.text) || devices != nil {
				t.Errorf("got %v, %#v; want %s with %q", devices, err, tc.fault, tc.text)
			}
		})
	}
}

func TestProbeHangs(t *testing.T) {
	t.Parallel()
	p := scripted("sleep 1000 & wait") // the grandchild keeps the pipe open: it must be killed, too
	p.Deadline = 100 * time.Millisecond
	_, err := p.Devices(t.Context())
	var probe *ProbeError
	if !errors.As(err, &probe) || probe.Fault != FaultHang {
		t.Fatalf("got %v, want a hang", err)
	}
	if p.stuck == nil {
		return // it has ended already
	}
	select {
	case <-p.stuck: // on a machine under load a killed process ends late
	case <-time.After(waittest.Patience):
		t.Error("the child was not killed")
	}
}

func TestProbeStartsNoSecondChildWhileOneIsStuck(t *testing.T) {
	t.Parallel()
	p := scripted("echo '{\"devices\":[]}'")
	gone := make(chan struct{})
	p.stuck = gone // as after a child in an uninterruptible call, which no test can make
	_, err := p.Devices(t.Context())
	var probe *ProbeError
	if !errors.As(err, &probe) || probe.Fault != FaultHang || !strings.Contains(probe.Detail, "still hangs") {
		t.Errorf("got %v, want a hang", err)
	}
	close(gone)
	if devices, err := p.Devices(t.Context()); err != nil || len(devices) != 0 {
		t.Errorf("after it went: %v, %v", devices, err)
	}
}

// A child that was killed ends late on a machine under load: the next query waits for it until the child's deadline.
func TestProbeWaitsForAKilledChild(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan struct{})
		close(answered)
		p := &Probe{launch: func(*Probe) (child, error) {
			return child{gone: answered, answer: func() ([]Device, error) { return nil, nil }, kill: func() {}}, nil
		}}
		gone := make(chan struct{})
		p.stuck, p.since = gone, time.Now()
		time.AfterFunc(2*time.Second, func() { close(gone) })
		if _, err := p.Devices(t.Context()); err != nil {
			t.Error(err)
		}
		p.stuck, p.since = make(chan struct{}), time.Now()
		began := time.Now()
		for range 3 { // only the first waits
			var probe *ProbeError
			if _, err := p.Devices(t.Context()); !errors.As(err, &probe) || probe.Fault != FaultHang {
				t.Errorf("got %v, want a hang", err)
			}
		}
		if took := time.Since(began); took != defaultDeadline {
			t.Errorf("took %s", took)
		}
	})
}

func TestProbeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := errors.New("stopping")
	cancel(stopping)
	if _, err := scripted("sleep 1000").Devices(ctx); !errors.Is(err, stopping) {
		t.Errorf("got %v", err)
	}
}
