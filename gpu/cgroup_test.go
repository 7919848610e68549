package gpu_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/retraind/retraind/gpu"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0123456789abcdef", 4)
	for _, tc := range []struct {
		name, cgroup string
		want         gpu.Holder
	}{
		{"service", "0::/system.slice/ollama.service\n", gpu.Holder{Unit: "ollama.service"}},
		{"below a service", "0::/system.slice/ollama.service/runner\n", gpu.Holder{Unit: "ollama.service"}},
		{
			"user's service", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/comfy.service\n",
			gpu.Holder{Unit: "comfy.service", UserUnit: true},
		},
		{"login", "0::/user.slice/user-1000.slice/session-3.scope\n", gpu.Holder{Unit: "session-3.scope"}},
		{
			"docker, systemd driver", "0::/system.slice/docker-" + id + ".scope\n",
			gpu.Holder{Unit: "docker-" + id + ".scope", Container: id},
		},
		{"docker, cgroupfs driver", "0::/docker/" + id + "\n", gpu.Holder{Container: id}},
		{
			"podman", "0::/machine.slice/libpod-" + id + ".scope/container\n",
			gpu.Holder{Unit: "libpod-" + id + ".scope", Container: id},
		},
		{
			"kubernetes", "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope\n",
			gpu.Holder{Unit: "cri-containerd-" + id + ".scope", Container: id},
		},
		{
			"cgroup v1", "12:memory:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n0::/system.slice/containerd.service\n",
			gpu.Holder{Unit: "containerd.service", Container: id},
		},
		{"root", "0::/\n", gpu.Holder{}},
		{"nonsense", "what\n\n", gpu.Holder{}},
	} {
		proc := fstest.MapFS{"7/comm": {Data: []byte("python3\n")}, "7/cgroup": {Data: []byte(tc.cgroup)}}
		name, got := gpu.Identify(proc, 7)
		if got != tc.want || name != "python3" {
			t.Errorf("%s: got %s %+v, want %+v", tc.name, name, got, tc.want)
		}
	}
	if name, got := gpu.Identify(fstest.MapFS{}, 7); name != "" || got != (gpu.Holder{}) {
		t.Errorf("a process that is gone: got %q %+v", name, got)
	}
}
