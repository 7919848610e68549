package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"time"
)

const (
	// The size of the recorded terminal.
	recordedColumns, recordedRows = 106, 30
	// The shortest time between two frames: the demo draws more often than a picture needs.
	frameEvery = 1200 * time.Millisecond
	// A drawing is complete when there has been no output for this time.
	complete = 40 * time.Millisecond
)

// record runs a command in a terminal, with util-linux's script, and stores what it showed.
func record(path, title, command string) error {
	shell := fmt.Sprintf("stty rows %d cols %d; exec %s", recordedRows, recordedColumns, command)
	cmd := exec.Command("script", "-qefc", shell, os.DevNull)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORTERM=", "NO_COLOR=")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // kept open: script would type ^D when it is closed
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("record %s: %w", command, err)
	}
	frames, err := watch(stdout, start)
	_ = stdin.Close()
	if err := cmp.Or(err, cmd.Wait()); err != nil {
		return fmt.Errorf("record %s: %w", command, err)
	}
	h := castHeader{Version: 2, Width: recordedColumns, Height: recordedRows, Title: title}
	return writeCast(path, h, frames)
}

// watch returns what the terminal shows, at intervals, until its output ends.
func watch(output io.Reader, start time.Time) ([]frame, error) {
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		buffer := make([]byte, 64<<10)
		for {
			n, err := output.Read(buffer)
			if err != nil {
				return // the terminal is closed
			}
			chunks <- slices.Clone(buffer[:n])
		}
	}()
	terminal := newScreen(recordedColumns, recordedRows)
	var frames []frame
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	last := -frameEvery
	take := func() {
		last = time.Since(start)
		frames = append(frames, terminal.frame(math.Round(last.Seconds()*100)/100))
	}
	for {
		select {
		case chunk, open := <-chunks:
			if !open {
				take()
				return frames, nil
			}
			if err := terminal.write(chunk); err != nil {
				return nil, err
			}
			quiet.Reset(complete)
		case <-quiet.C:
			if time.Since(start)-last >= frameEvery {
				take()
			}
		}
	}
}
