package main

import (
	"fmt"
	"strings"

	"github.com/retraind/retraind/gpu"
)

// leastUnexplained is the memory that each driver keeps for itself. Unexplained memory below it is not shown.
const leastUnexplained = 64 << 20

// showGPUs prints the devices, each with the holders of its memory.
func showGPUs(p *page, devices []gpu.Device) error {
	var cards, holders [][]string
	for _, d := range devices {
		cards = append(cards, []string{
			gpuNumber(d), d.Name, d.Free.String(), d.Total.String(), d.Utilization.In("%"), d.Temperature.In("°C"),
		})
		if !d.Split { // the processes of a split device are listed with its instances
			holders = append(holders, holdersOf(d)...)
		}
	}
	p.table(0, []string{"gpu", "name", "free", "of", "busy", "temp"}, cards...)
	for _, d := range devices {
		for _, remark := range remarks(d) {
			p.line("GPU "+gpuNumber(d)+" "+remark, 4)
		}
	}
	if len(holders) > 0 {
		p.line("", 0)
		p.table(0, []string{"gpu", "memory", "pid", "held by"}, holders...)
	}
	return p.print()
}

// gpuNumber formats a device's number as nvidia-smi does. For an instance it adds the start of the UUID.
func gpuNumber(d gpu.Device) string {
	if d.Parent == "" {
		return fmt.Sprint(d.Index)
	}
	return fmt.Sprintf("%d/%s", d.Index, d.UUID[:min(12, len(d.UUID))])
}

// remarks returns the special properties of a device.
func remarks(d gpu.Device) []string {
	var list []string
	switch {
	case d.Split:
		list = append(list, "is in MIG mode: only its instances can be used")
	case d.Unified:
		list = append(list, "shares the host's memory: the free memory is the host's")
	}
	if d.Lease != "" {
		list = append(list, "is leased by "+d.Lease)
	}
	if d.Distrust != "" {
		list = append(list, "has a process list that cannot be right: "+d.Distrust)
	}
	if d.ProcessError != "" {
		list = append(list, "does not list its processes: "+d.ProcessError)
	}
	return list
}

// holdersOf lists a device's processes, the largest first, and the unexplained memory.
func holdersOf(d gpu.Device) [][]string {
	var rows [][]string
	for _, h := range (gpu.Config{}).Holders(d) {
		rows = append(rows, []string{gpuNumber(d), memoryOf(h), fmt.Sprint(h.PID), h.Who()})
		if free, back := h.Remedy(); free != "" {
			rows = append(rows, []string{"", "", "", "to free it: " + free + "; to restart it: " + back})
		}
	}
	if rest := d.Unexplained(); rest.State == gpu.Known && rest.Size >= leastUnexplained {
		rows = append(
			rows,
			[]string{
				gpuNumber(d),
				gpu.Amount(rest.Size),
				"",
				"no process: used by the driver itself, or left by a program that crashed",
			},
		)
	}
	return rows
}

func memoryOf(h gpu.Process) string {
	if h.Used.State != gpu.Known {
		return "unknown"
	}
	return gpu.Amount(h.Used.Size)
}

// showGPUPlan prints what runs would do.
func showGPUPlan(p *page, plans []modelPlan) error {
	if len(plans) == 0 {
		p.line("no configured model has a step that needs a GPU", 0)
	}
	for i, plan := range plans {
		if i > 0 {
			p.line("", 0)
		}
		p.line(fmt.Sprintf("%s, pipeline %s", plan.Model, plan.Pipeline), 0)
		p.field("steps", strings.Join(plan.Steps, ", "))
		p.field("needs", plan.Needs)
		now := "would wait: " + plan.Verdict.Text
		if plan.Verdict.Result == gpu.Open {
			now = "would start: " + plan.Verdict.Text
		}
		p.field("now", now)
		if plan.Verdict.Result != gpu.Open {
			for _, h := range plan.Verdict.Holders {
				if free, back := h.Remedy(); free != "" {
					p.field("to free it", fmt.Sprintf("%s; to restart it: %s", free, back))
				}
			}
		}
		stops := "nothing: gpu.stop is empty, and no step before the first GPU step stops anything"
		for _, a := range plan.Stops {
			stops = ""
			switch {
			case a.Fault != "":
				p.field("stops", "nothing, and would end as blocked: "+a.Fault)
			case !a.Runs:
				p.field("stops", a.Thing+": "+a.State)
			default:
				p.field("stops", a.Thing)
				p.field("restart", a.Back)
			}
		}
		for _, r := range plan.Room {
			p.field("stops", fmt.Sprintf("by step %s: %s", r.Step, r.Does))
			p.field("restart", r.Back)
			stops = ""
		}
		if stops != "" {
			p.field("stops", stops)
		}
	}
	return p.print()
}
