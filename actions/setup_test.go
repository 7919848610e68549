package actions

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/drift"
)

// TestMain lets the test binary run as the programs that a run starts: the supervisor of a command, a job, and a
// training.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "exec-step":
		err = runner.Supervise(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "step":
		err = job.Run(context.Background(), testJobs, os.Args[2], os.Args[3])
	case len(os.Args) == 3 && os.Args[1] == "fake-train":
		err = fakeTrain(os.Args[2])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fakeTrain writes an artifact that is right on the first texts of each ten test texts; tenths says on how many. Like a
// real training it depends only on its environment.
func fakeTrain(tenths string) error {
	right, err := strconv.Atoi(tenths)
	if err != nil {
		return err
	}
	test, err := classifier.ReadExamples(filepath.Join(os.Getenv("RETRAIND_DATA_DIR"), "test.jsonl"),
		os.Getenv("RETRAIND_TARGET"))
	if err != nil {
		return err
	}
	out := os.Getenv("RETRAIND_RELEASE_DIR")
	f, err := os.Create(filepath.Join(out, predictionsFile))
	if err != nil {
		return err
	}
	defer f.Close()
	model := map[string]string{}
	for i, e := range test {
		answer := e.Labels["label"]
		if i%10 >= right {
			answer = "wrong by " + tenths
		}
		model[e.Text["title"]] = answer
		line, err := json.Marshal(map[string]any{
			"id": e.ID, "text_hash": drift.TextHash(e.Text),
			"answers": map[string]any{"label": answer},
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(f, "%s\n", line)
	}
	b, err := json.Marshal(model)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "model.json"), b, 0o644)
}

// readModel reads the model of fakeTrain: the answer to each title.
func readModel(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	model := map[string]string{}
	return model, json.Unmarshal(b, &model)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
