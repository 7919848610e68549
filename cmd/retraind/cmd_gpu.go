package main

import (
	"context"
	"fmt"
	"strings"

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
			devices, err := (&gpu.Probe{
				Command: []string{me, "gpu-probe"},
				Names:   &gpu.Namer{Docker: gpu.DockerSocket, Ollama: gpu.OllamaURL},
			}).Devices(context.Background())
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
			return showGPUs(newPage(a.stdout), devices)
		},
	}
}

func showGPUs(p *page, devices []gpu.Device) error {
	var rows [][]string
	for _, d := range devices {
		holders := make([]string, len(d.Processes))
		for i, holder := range d.Processes {
			holders[i] = holder.String()
		}
		rows = append(rows, []string{
			fmt.Sprint(d.Index), d.Name, d.Free.String(), d.Total.String(),
			strings.Join(holders, "; "),
		})
	}
	p.table(0, []string{"gpu", "name", "free", "of", "held by"}, rows...)
	return p.print()
}
