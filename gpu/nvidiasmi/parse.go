package nvidiasmi

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"

	"github.com/retraind/retraind/gpu"
)

// document is the part of the program's XML that is read.
type document struct {
	GPUs []struct {
		UUID    string `xml:"uuid"`
		Name    string `xml:"product_name"`
		MIGMode string `xml:"mig_mode>current_mig"`
		Memory  struct {
			Total string `xml:"total"`
			Used  string `xml:"used"`
			Free  string `xml:"free"`
		} `xml:"fb_memory_usage"`
		Utilization string `xml:"utilization>gpu_util"`
		Temperature string `xml:"temperature>gpu_temp"`
		Processes   struct {
			Text string `xml:",chardata"`
			List []struct {
				PID  int    `xml:"pid"`
				Type string `xml:"type"`
				Used string `xml:"used_memory"`
			} `xml:"process_info"`
		} `xml:"processes"`
	} `xml:"gpu"`
}

// parse reads the output of `nvidia-smi -q -x`.
func parse(text []byte) ([]gpu.Device, error) {
	var doc document
	if err := xml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("read the output of nvidia-smi: %w", err)
	}
	devices := make([]gpu.Device, 0, len(doc.GPUs))
	for index, g := range doc.GPUs {
		if g.UUID == "" {
			return nil, &gpu.ProbeError{Fault: gpu.FaultFailed, Detail: fmt.Sprintf("nvidia-smi reports no UUID for GPU %d", index)}
		}
		d := gpu.Device{
			Index: index, UUID: g.UUID, Name: g.Name, Split: g.MIGMode == "Enabled",
			Total: memory(g.Memory.Total), Used: memory(g.Memory.Used), Free: memory(g.Memory.Free),
			Utilization: figure(g.Utilization, "%"), Temperature: figure(g.Temperature, "C"), Processes: []gpu.Process{},
		}
		// For a device that keeps no list, the output has "N/A" in its place.
		if strings.TrimSpace(g.Processes.Text) != "" {
			d.ProcessState, d.ProcessError = absent(g.Processes.Text)
			d.ProcessError = cmp.Or(d.ProcessError, "the device does not list its processes")
		}
		for _, p := range g.Processes.List {
			d.Processes = append(d.Processes, gpu.Process{PID: p.PID, Used: memory(p.Used), Graphics: p.Type == "G"})
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// memory reads "24564 MiB", "N/A" or an error in brackets.
func memory(text string) gpu.Reading {
	n, err := strconv.ParseUint(strings.TrimSuffix(text, " MiB"), 10, 43)
	if err != nil || !strings.HasSuffix(text, " MiB") {
		state, detail := absent(text)
		return gpu.Reading{State: state, Detail: detail}
	}
	return gpu.Bytes(n << 20)
}

// figure reads "93 %" or "64 C".
func figure(text, unit string) gpu.Figure {
	n, err := strconv.Atoi(strings.TrimSuffix(text, " "+unit))
	if err != nil {
		state, detail := absent(text)
		return gpu.Figure{State: state, Detail: detail}
	}
	return gpu.Number(n)
}

// absent distinguishes "not supported" from a failure; only a failure has a detail.
func absent(text string) (state gpu.State, detail string) {
	text = strings.Trim(strings.TrimSpace(text), "[]")
	switch strings.ToLower(text) {
	case "n/a", "not supported", "not available":
		return gpu.Unsupported, ""
	case "":
		return gpu.Failed, "nvidia-smi does not report it"
	default:
		return gpu.Failed, "nvidia-smi reports " + strconv.Quote(text)
	}
}
