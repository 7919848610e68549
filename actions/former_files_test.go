package actions

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/policy"
)

// If the saved files cannot be restored at the end of a run, the next run restores them before it saves the files
// again: it never saves those of a refused candidate as the champion's.
func TestFormerFilesAreNotLost(t *testing.T) {
	t.Parallel()
	outcomesOnly(t)
	w := newWorld(t)
	dir := t.TempDir()
	model := filepath.Join(dir, "models", "model.pkl")
	writeText(t, model, "original")
	w.deploy = &DeployConfig{Compose: &ComposeDeploy{
		Dir: dir, Service: "api", Files: map[string]string{"model.pkl": "models/model.pkl"},
	}}
	steps := func(script string) []StepConfig {
		train := sh("train", script)
		train.Dir = dir
		return []StepConfig{Do(DoExport), {train}, Do(DoGate), Do(DoDeploy), Do(DoVerify)}
	}
	w.ends(w.run(steps("rm -r models; echo in the way >models; exit 1")), policy.OutcomeFailed, "restore "+model,
		"export ok", "train failed")
	w.ends(w.run(steps("true")), policy.OutcomeFailed, "deploy.compose.files: ", "export failed")
	if err := os.Remove(filepath.Join(dir, "models")); err != nil {
		t.Fatal(err)
	}
	writeText(t, model, "candidate")
	w.ends(w.run(steps("exit 1")), policy.OutcomeFailed, "exit status 1", "export ok", "train failed")
	if got := readText(t, model); got != "original" {
		t.Errorf("after the runs: %q", got)
	}
	writeText(t, model, "corrected by hand")
	w.ends(w.run(steps("echo candidate >models/model.pkl; exit 1")), policy.OutcomeFailed, "exit status 1", "export ok",
		"train failed")
	if got := readText(t, model); got != "corrected by hand" {
		t.Errorf("after a run that followed a correction: %q", got)
	}
}
