package gpu

import (
	"strings"
	"testing"
	"testing/fstest"
)

// host returns a /proc with some processes and memory.
func host(pids ...string) fstest.MapFS {
	proc := fstest.MapFS{
		"meminfo": {Data: []byte("MemTotal:       125829120 kB\nMemFree:  1 kB\nMemAvailable:   104857600 kB\n")},
	}
	for _, pid := range pids {
		proc[pid+"/comm"] = &fstest.MapFile{Data: []byte("python3\n")}
	}
	return proc
}

func TestGarbageIsNotBelieved(t *testing.T) {
	t.Parallel()
	card := func(processes ...Process) Device {
		return Device{
			Name:      "RTX 4090",
			Total:     Bytes(24 << 30),
			Used:      Bytes(20 << 30),
			Free:      Bytes(4 << 30),
			Processes: processes,
		}
	}
	huge := Process{PID: 7, Used: Bytes(1 << 62)} // the sum of four overflows to 0 in 64 bits
	for _, tc := range []struct {
		name     string
		device   Device
		distrust string
	}{
		{"well", card(Process{PID: 7, Used: Bytes(18 << 30)}), ""},
		{"nobody", card(), ""},
		{"no such process", card(Process{PID: 7}, Process{PID: 4294967295}), "pid 4294967295, which does not exist"},
		{"one has more than there is", card(Process{PID: 7, Used: Bytes(25 << 30)}), "more memory than the device's 24.0 GiB"},
		{"all have more than there is", card(Process{PID: 7, Used: Bytes(13 << 30)}, Process{PID: 8, Used: Bytes(13 << 30)}), "more memory than the device's 24.0 GiB"},
		{"a sum that wraps around", card(huge, huge, huge, huge), "more memory"},
	} {
		d := tc.device
		settle(host("7", "8"), &d)
		if tc.distrust == "" && d.Distrust != "" || !strings.Contains(d.Distrust, tc.distrust) {
			t.Errorf("%s: got %q, want %q", tc.name, d.Distrust, tc.distrust)
		}
		if d.Distrust != "" && d.ProcessSum().State != Failed {
			t.Errorf("%s: the sum of a list that is not believed is %+v", tc.name, d.ProcessSum())
		}
	}
}

func TestUnifiedMemory(t *testing.T) {
	t.Parallel()
	none := Reading{State: Unsupported}
	silent := func(name string) Device {
		return Device{Name: name, Total: none, Used: none, Free: none, Processes: []Process{{PID: 7, Used: Bytes(3 << 30)}}}
	}
	for _, name := range []string{"NVIDIA GB10", "Orin (nvgpu)", "NVIDIA N1X", "NVIDIA Thor"} {
		d := silent(name)
		settle(host("7"), &d)
		if !d.Unified || d.Total != Bytes(120<<30) || d.Free != Bytes(100<<30) || d.Used != Bytes(3<<30) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	// The host's memory is not used for a card that is not known to share it.
	for _, name := range []string{"NVIDIA GeForce RTX 4090", "NVIDIA H100 NVL", "Quadro GV100", ""} {
		d := silent(name)
		settle(host("7"), &d)
		if d.Unified || d.Free != none {
			t.Errorf("%s: %+v", name, d)
		}
	}
	d := silent("NVIDIA GB10")
	settle(fstest.MapFS{}, &d)
	if d.Free.State != Failed || !strings.Contains(d.Free.Detail, "meminfo") {
		t.Errorf("without meminfo: %+v", d.Free)
	}
}

func TestUnexplained(t *testing.T) {
	t.Parallel()
	d := Device{Total: Bytes(24 << 30), Used: Bytes(20 << 30), Processes: []Process{{PID: 7, Used: Bytes(18 << 30)}}}
	if got := d.Unexplained(); got != Bytes(2<<30) {
		t.Errorf("got %+v", got)
	}
	d.Processes = append(d.Processes, Process{PID: 8, Used: Reading{State: Unsupported}})
	if got := d.Unexplained(); got.State == Known {
		t.Errorf("with a process of unknown size: got %+v", got)
	}
}
