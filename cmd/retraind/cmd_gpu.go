package main

import (
	"context"
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/gpu"
)

func newGPU(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "gpu", Short: "Show the GPUs and who holds their memory", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			me, err := self()
			if err != nil {
				return err
			}
			devices, err := (&gpu.Probe{Command: []string{me, "gpu-probe"}}).Devices(context.Background())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(devices)
			}
			if len(devices) == 0 {
				fmt.Fprintln(a.stdout, "this machine has no GPU")
				return nil
			}
			t := newTable("gpu", "name", "free", "of", "held by")
			for _, d := range devices {
				holders := make([]string, len(d.Processes))
				for i, p := range d.Processes {
					holders[i] = p.String()
				}
				t.Row(fmt.Sprint(d.Index), d.Name, d.Free.String(), d.Total.String(), strings.Join(holders, "; "))
			}
			_, err = lipgloss.Fprintln(a.stdout, t)
			return err
		},
	}
}
