package actions

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/store"
)

// The step check checks the run's own files, and reports the first faulty link.
func TestCheckFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.idle()
	written := &CheckStep{Do: DoCheck, Adapter: "out/lora", GGUF: "$RETRAIND_RELEASE_DIR/m.gguf", dir: w.dir}
	step := Resolve([]StepConfig{{written}}, nil, w.self)[0]
	if got := p.chain(step); got.Adapter != filepath.Join(w.dir, "out/lora") || got.Base != "" ||
		got.GGUF != filepath.Join(p.releaseDir(), "m.gguf") {
		t.Errorf("%+v", got)
	}
	out, err := w.executor.checkFiles(t.Context(), p, Action{Kind: ActDo, Attempt: 1}, step)
	if err != nil || out.Class != store.StepFailed || !strings.Contains(out.Detail, "is adapter: ") ||
		!strings.Contains(out.Detail, "the training saved no adapter there") {
		t.Errorf("%+v, %v", out, err)
	}
	writeText(t, filepath.Join(p.releaseDir(), "m.gguf"), "GGUF")
	step.Check.Adapter = ""
	out, err = w.executor.checkFiles(t.Context(), p, Action{Kind: ActDo, Attempt: 2}, step)
	if err != nil || out.Class != store.StepFailed || !strings.Contains(out.Detail, "is gguf: ") ||
		!strings.Contains(out.Detail, "it was cut off") {
		t.Errorf("%+v, %v", out, err)
	}
}
