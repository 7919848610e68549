package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/gpu"
)

// watchEvery is the pause between two samples of `retraind gpu --watch`.
const watchEvery = 2 * time.Second

func newGPU(a *app) *cobra.Command {
	var plan, watch bool
	cmd := &cobra.Command{
		Use: "gpu", Short: "Show the GPUs and the programs that use their memory", Args: cobra.NoArgs,
		Long: `Show the GPUs and the programs that use their memory, by program, unit, compose service and Ollama model, with the
commands that stop and start them. With --plan, show what a run of each configured model would do now: which GPU it
would use or what it would wait for, what it would stop temporarily (gpu.stop) and how that is started again, and which
of its steps free GPU memory.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := &gpuView{app: a, cmd: cmd, plan: plan}
			if !watch {
				return v.once(context.Background(), a.stdout)
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return v.watch(ctx)
		},
	}
	cmd.Flags().BoolVar(&plan, "plan", false, "show what a run of each configured model would do now")
	cmd.Flags().BoolVar(&watch, "watch", false, "keep checking and print changes, until interrupted")
	cmd.AddCommand(newGPUHold(a))
	return cmd
}

// gpuView prints the GPUs.
type gpuView struct {
	app   *app
	cmd   *cobra.Command
	plan  bool
	probe *gpu.Probe
	last  []byte
	told  bool // that the leases are not shown
}

// gpuPlan is the JSON of --plan.
type gpuPlan struct {
	GPUs   []gpu.Device `json:"gpus"`
	Models []modelPlan  `json:"models"`
}

// once samples the GPUs and prints them.
func (v *gpuView) once(ctx context.Context, out io.Writer) error {
	var file *configs.File
	if l, _, err := v.app.load(v.cmd); err == nil {
		file = l.File
	} else if v.plan {
		return err
	}
	if v.probe == nil {
		var err error
		if v.probe, err = gpuProbe(file); err != nil {
			return err
		}
	}
	devices, err := v.probe.Devices(ctx)
	if err != nil {
		return err
	}
	dir, err := gpu.FindLeaseDir(leasesOf(file))
	if err != nil && !v.told {
		v.told = true
		say(v.app.stderr, "retraind: the leases are not shown: %v", err)
	}
	if err == nil {
		gpu.Leases{Dir: dir}.Mark(devices)
	}
	var models []modelPlan
	if v.plan {
		models = plansOf(ctx, file, devices)
	}
	switch {
	case v.app.json && v.plan:
		return encodeJSON(out, gpuPlan{devices, models})
	case v.app.json:
		return encodeJSON(out, devices)
	case len(devices) == 0:
		say(out, "this machine has no GPU")
		return nil
	case v.plan:
		return showGPUPlan(newPage(out), models)
	default:
		return showGPUs(newPage(out), devices)
	}
}

// watch samples repeatedly and prints each change. It also prints when the driver does not answer.
func (v *gpuView) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var b bytes.Buffer
		if err := v.once(ctx, &b); err != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			var probe *gpu.ProbeError
			if !errors.As(err, &probe) {
				return err
			}
			b.Reset()
			if v.app.json {
				_ = encodeJSON(&b, probe)
			} else {
				say(&b, "%v", err)
			}
		}
		if !bytes.Equal(b.Bytes(), v.last) {
			v.last = bytes.Clone(b.Bytes())
			if err := v.print(b.Bytes()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-tick.C:
		}
	}
}

// print writes one sample, as a line of JSON or as text below the time.
func (v *gpuView) print(text []byte) error {
	if !v.app.json {
		return write(v.app.stdout, time.Now().Format(time.TimeOnly)+"\n"+string(text)+"\n")
	}
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		return err
	}
	_, err := line.WriteTo(v.app.stdout)
	return errors.Join(err, write(v.app.stdout, "\n"))
}

func write(out io.Writer, text string) error {
	_, err := io.WriteString(out, text)
	return err
}

func leasesOf(file *configs.File) string {
	if file == nil {
		return ""
	}
	return file.GPU.Leases
}

// peaksOf returns the file in which a daemon with this configuration stores measured peaks.
func peaksOf(file *configs.File) *gpu.Peaks {
	return &gpu.Peaks{Path: filepath.Join(file.State, gpu.PeaksFile)}
}
