package gpugate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
)

// A unit that does not stop within stop_within blocks the run, which names it.
func TestUnitThatDoesNotStop(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	withCards(t, g, gpu.Device{UUID: "GPU-1", Total: gpu.Bytes(24 << 30), Used: gpu.Bytes(0), Free: gpu.Bytes(24 << 30)})
	systemctl := filepath.Join(t.TempDir(), "systemctl")
	script := "#!/bin/sh\n[ \"$2\" = stop ] && exec sleep 1000\n" +
		"printf 'LoadState=loaded\\nActiveState=active\\nInvocationID=1\\nCanStart=yes\\nCanStop=yes\\nTransient=no\\n'\n"
	if err := os.WriteFile(systemctl, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	g.o.Ledger.Hands[ledger.KindUnit] = ledger.Units{Systemctl: systemctl}
	g.o.File().Models["m"].GPU.StopWithin = unit.Duration(50 * time.Millisecond)
	s := actions.GPUStep{Model: "m", Run: "run1", Step: "train"}
	room := actions.Room{Stop: []gpu.StopConfig{{Unit: "tagger.service"}}, RunDir: t.TempDir()}
	_, err := g.Free(t.Context(), s, room)
	var blocked *actions.BlockedError
	if !errors.As(err, &blocked) || !strings.Contains(blocked.Reason, "unit tagger.service did not stop within 50ms") {
		t.Errorf("got %v", err)
	}
	if entries, _, err := g.o.Ledger.Entries(); err != nil || len(entries) != 1 {
		t.Errorf("in the ledger: %v, %v", entries, err)
	}
}
