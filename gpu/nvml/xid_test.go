//go:build cgo && linux

package nvml

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/gpu"
)

func TestXids(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(state, []byte("used 0\nxid 79\nxid 31\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	child := self(t, "xid", "LD_LIBRARY_PATH="+fakeLibrary(t), "FAKE_NVML_STATE="+state)
	p := &gpu.XidProbe{Command: child.Command, Env: child.Env}
	ctx, stop := context.WithCancelCause(t.Context())
	found := make(chan gpu.Xid)
	ended := make(chan error)
	go func() { ended <- p.Follow(ctx, uuid, found) }()
	for _, want := range []gpu.Xid{79, 31} {
		if got := <-found; got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	over := errors.New("the step is over")
	stop(over)
	if err := <-ended; !errors.Is(err, over) {
		t.Errorf("after the end: %v", err)
	}
}

func TestXidsCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		mode, uuid string
		flags      []string
	}{
		"no such functions": {"", uuid, []string{"-DWITHOUT_EVENTS"}},
		"refused":           {"denied", uuid, nil},
		"another device":    {"", "GPU-22222222-2222-3333-4444-555555555555", nil},
		"lost":              {"lost", uuid, nil},
		"crash":             {"crash", uuid, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child := self(t, "xid", "LD_LIBRARY_PATH="+fakeLibrary(t, tc.flags...), "FAKE_NVML="+tc.mode)
			p := &gpu.XidProbe{Command: child.Command, Env: child.Env}
			err := p.Follow(t.Context(), tc.uuid, make(chan gpu.Xid))
			var probe *gpu.ProbeError
			if !errors.As(err, &probe) {
				t.Errorf("got %v", err)
			}
		})
	}
}
