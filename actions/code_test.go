package actions

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/retraind/retraind/serving"
)

// The digest of code changes with a script that a step names and with the step itself, and with nothing else.
func TestCodeDigest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("train.py", "print(1)")
	write("data.csv", "a,b")
	steps := func(args ...string) []Step {
		return []Step{{Name: "train", Argv: append([]string{"python3"}, args...), Dir: dir, Rest: 5}}
	}
	first := CodeDigest(steps("train.py", "--c", "10"), serving.Config{})
	write("data.csv", "c,d")
	other := steps("train.py", "--c", "10")
	other[0].Rest = 7
	if CodeDigest(other, serving.Config{}) != first {
		t.Error("a file that no step names, or the time of the rest, changes the digest")
	}
	if CodeDigest(steps("train.py", "--c", "11"), serving.Config{}) == first {
		t.Error("another argument does not change it")
	}
	write("train.py", "print(2)")
	if CodeDigest(steps("train.py", "--c", "10"), serving.Config{}) == first {
		t.Error("another script does not change it")
	}
	prompted := serving.Config{Ollama: &serving.OllamaConfig{Prompt: "a"}}
	if CodeDigest(other, prompted) == CodeDigest(other, serving.Config{Ollama: &serving.OllamaConfig{Prompt: "b"}}) {
		t.Error("another prompt gives the same digest")
	}
}

// A plan's steps carry marks that the configuration does not have: they do not change what a run does.
func TestCodeDigestIgnoresMarks(t *testing.T) {
	t.Parallel()
	marked := []Step{{Name: "predict", Do: DoPredict, OllamaOnGPU: true, Rest: time.Hour, Progress: "trainer"}}
	if CodeDigest(marked, serving.Config{}) != CodeDigest([]Step{{Name: "predict", Do: DoPredict}}, serving.Config{}) {
		t.Error("the digest of a planned step differs from that of the configured one")
	}
}
