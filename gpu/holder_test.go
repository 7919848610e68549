package gpu_test

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/gpu"
)

func TestHolders(t *testing.T) {
	t.Parallel()
	half := gpu.Bytes(gib / 2)
	id := strings.Repeat("0123456789ab", 5) + "0123"
	for _, tc := range []struct {
		process    gpu.Process
		kind       gpu.Kind
		text       string
		free, back string
	}{
		{ollama, gpu.KindOllama, "ollama of ollama.service, pid 4711, 18.0 GiB", "systemctl stop ollama.service", "systemctl start ollama.service"},
		{
			gpu.Process{PID: 4, Name: "ollama", Used: half, Holder: gpu.Holder{Unit: "ollama.service", Model: "qwen3:14b"}},
			gpu.KindOllama,
			"ollama with model qwen3:14b of ollama.service, pid 4, 512 MiB", "ollama stop qwen3:14b", "nothing to do, the next request loads it",
		},
		{
			gpu.Process{PID: 5, Name: "python3", Used: half, Holder: gpu.Holder{Unit: "docker-x.scope", Container: id}},
			gpu.KindContainer,
			"python3 in container 0123456789ab, pid 5, 512 MiB", "docker stop 0123456789ab", "docker start 0123456789ab",
		},
		{
			gpu.Process{PID: 5, Name: "python3", Used: half, Holder: gpu.Holder{Container: id, Project: "news", Service: "backend"}},
			gpu.KindCompose,
			"python3 of compose service news/backend, pid 5, 512 MiB", "docker compose -p news stop backend", "docker compose -p news start backend",
		},
		{
			gpu.Process{PID: 6, Name: "python3", Holder: gpu.Holder{Unit: "comfy.service", UserUnit: true}},
			gpu.KindService,
			"python3 of comfy.service, pid 6", "systemctl --user stop comfy.service", "systemctl --user start comfy.service",
		},
		{gpu.Process{PID: 7, Name: "jupyter-lab", Holder: gpu.Holder{Unit: "session-3.scope"}}, gpu.KindSession, "jupyter-lab of session-3.scope, pid 7", "", ""},
		{gpu.Process{PID: 8, Name: "gnome-shell", Used: half, Holder: gpu.Holder{Unit: "gdm.service"}}, gpu.KindDesktop, "gnome-shell of gdm.service, pid 8, 512 MiB", "", ""},
		{gpu.Process{PID: 9, Used: gpu.Reading{State: gpu.Unsupported}}, gpu.KindUnknown, "process, pid 9", "", ""},
		{gpu.Process{PID: 10, Gone: true, Used: half}, gpu.KindGone, "pid 10, which does not exist, 512 MiB", "", ""},
	} {
		if got := tc.process.String(); got != tc.text {
			t.Errorf("got %q, want %q", got, tc.text)
		}
		if got := tc.process.Kind(); got != tc.kind {
			t.Errorf("%s: is %s, want %s", tc.text, got, tc.kind)
		}
		if free, back := tc.process.Remedy(); free != tc.free || back != tc.back {
			t.Errorf("%s: freed by %q and back by %q, want %q and %q", tc.text, free, back, tc.free, tc.back)
		}
	}
}
