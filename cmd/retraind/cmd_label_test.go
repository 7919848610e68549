package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/watch/labelfiles"
)

// Ctrl-C ends the command while it waits for input, and no unfinished label file is left behind.
func TestInterruptedLabelAdd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := &app{socket: filepath.Join(dir, "socket"), stdout: io.Discard, stderr: io.Discard}
	var m configs.Model
	m.Labels.Files = &labelfiles.Config{Dir: dir}
	in, out := io.Pipe()
	t.Cleanup(func() { out.Close() })
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		// The pipe passes on no byte of the second part before the first was read.
		for range 2 {
			_, _ = io.WriteString(out, strings.Repeat(`{"id": "a", "label": "b"}`+"\n", addBatch/20))
		}
		interrupt()
	}()
	if err := a.addLabels(ctx, &cobra.Command{}, "news", &m, in, true); !errors.Is(err, errInterrupted) {
		t.Errorf("it ended with %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
