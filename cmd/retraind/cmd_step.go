package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/actions/ollamatags"
	"github.com/retraind/retraind/actions/predict"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/actions/unitstep"
	"github.com/retraind/retraind/actions/weights"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/gpu/nvml"
)

// newExecStep returns the command that supervises one command of a run. Its process outlives the daemon.
func newExecStep(*app) *cobra.Command {
	return &cobra.Command{
		Use: "exec-step DIR", Short: "Supervise one command of a run (started by the daemon)", Hidden: true,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return runner.Supervise(args[0]) },
	}
}

// jobs maps the kind of each long built-in step to its function.
var jobs = map[string]job.Work{
	"check":                  weights.Work,
	actions.JobComposeAct:    compose.Do,
	actions.JobUnitAct:       unitstep.Do,
	actions.JobComposeBack:   compose.Back,
	actions.JobComposeDeploy: compose.Deploy,
	actions.JobLabel:         teacher.Work,
	actions.JobOllamaStage:   ollamatags.StageWork,
	actions.JobOllamaSwitch:  ollamatags.SwitchWork,
	actions.JobPredict:       predict.Work,
}

// newStep returns the command that runs one long built-in step of a run, as a child process of the step's supervisor.
func newStep(*app) *cobra.Command {
	return &cobra.Command{
		Use: "step KIND DIR", Short: "Execute a built-in step of a run (started by the daemon)", Hidden: true,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return job.Run(ctx, jobs, args[0], args[1])
		},
	}
}

// newGPUXid returns the command that reads the errors of a device for the duration of a step. It runs in a child
// process, because NVIDIA's library may crash the process.
func newGPUXid(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "gpu-xid UUID", Short: "Print the errors of a GPU (started by the daemon)", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if code := gpu.AnswerXids(a.stdin, a.stdout, a.stderr, nvml.Inventory{}, args[0]); code != 0 {
				os.Exit(code)
			}
			return nil
		},
	}
}

// newGPUProbe returns the command that queries NVIDIA's driver. It runs in a child process, because the library may
// crash the process.
func newGPUProbe(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "gpu-probe", Short: "Query the GPU driver and print JSON (started by the daemon)", Hidden: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if code := gpu.Answer(context.Background(), a.stdout, nvml.Inventory{}); code != 0 {
				os.Exit(code) // the parent interprets the probe's own codes
			}
			return nil
		},
	}
}
