package ollamatest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/serving/ollama"
)

// Template puts the system prompt and the text into one line, like a chat template.
const Template = "{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}"

// Each runs a test against the fake and, if it is built, against the real server.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		test(t, NewFake(t).URL)
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		test(t, Real(t))
	})
}

// RealOrFake returns the URL of a real server for this test if one is built, else of a fake.
func RealOrFake(t testing.TB) string {
	t.Helper()
	if _, err := built(); errors.Is(err, ErrNoServer) {
		return NewFake(t).URL
	}
	return Start(t).URL
}

// Client returns a client that is closed after the test.
func Client(t testing.TB, url string) *ollama.Client {
	t.Helper()
	c, err := ollama.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Name returns a model name that no other test uses.
func Name(t testing.TB) string {
	return "t-" + strings.ToLower(strings.NewReplacer("/", "-", "#", "-", "_", "-").Replace(t.Name()))
}

// File writes the classifier's model file and returns its path.
func (c Classifier) File(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, c.GGUF(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Install creates the classifier's model on a server under a name, or replaces the model with this name.
func (c Classifier) Install(t testing.TB, url, name, system string) {
	t.Helper()
	client := Client(t, url)
	digest, err := client.Upload(t.Context(), c.File(t))
	if err != nil {
		t.Fatal(err)
	}
	err = client.Create(t.Context(), ollama.CreateRequest{
		Model: name, Files: map[string]string{"model.gguf": digest}, Template: Template, System: system,
		Parameters: Parameters(),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// Parameters returns the parameters of every model in a test: one thread, because several servers compete for a busy
// machine, and no randomness.
func Parameters() map[string]any { return map[string]any{"num_thread": 1, "temperature": 0} }
