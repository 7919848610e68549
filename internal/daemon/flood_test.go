package daemon_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/internal/natstest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/store"
)

// TestFloodOfLabels sends labels over NATS at full speed: the program processes them with little additional memory, and
// evaluates at most once in each coalescing interval. RETRAIND_LONG=1 sends 100,000.
func TestFloodOfLabels(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	flood, most := 4_000, 16.0            // MB
	if os.Getenv("RETRAIND_LONG") != "" { // the page caches of five SQLite connections grow by 2 MB each: 20 MB were measured
		flood, most = 100_000, 32.0
	}
	w := setup(t)
	program := realProgram(t, w.dir)
	server := natstest.Start(t)
	js, err := jetstream.New(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(),
		jetstream.StreamConfig{Name: "RETRAIND_LABELS", Subjects: []string{"retraind.in.v1.*.labels"}}); err != nil {
		t.Fatal(err)
	}
	w.nats, w.hours = fmt.Sprintf("{url: %q}", server.URL()), closed()
	w.labels = fmt.Sprintf("{postgres: {dsn: %q, table: items, id: id, text: [content], label: category}, nats: {}}",
		w.dsn)
	w.evaluate = fmt.Sprintf("{every: 1h, after_changes: 0, debounce: %s, max_wait: %[1]s, min_items: 10}", interval)
	w.write(w.config())
	cmd := exec.Command(program, "run", "-c", w.path())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	// evaluated returns the number of reports, and whether the last one includes this label of item 0.
	evaluated := func(label string) (n int, ok bool) {
		s, err := store.OpenReader(w.state)
		if err != nil {
			return 0, false // not there yet
		}
		defer s.Close()
		err = s.View(t.Context(), func(tx *store.Tx) error {
			it, err := tx.Item(model, "0")
			if err != nil {
				return err
			}
			reports, err := tx.Reports(model, time.Time{}, 1e6)
			n = len(reports)
			ok = n > 0 && it.Labels["label"] == label && reports[n-1].Seq >= it.Seq
			return err
		})
		return n, err == nil && ok
	}
	send := func(id int, label string) {
		body := fmt.Appendf(nil, `{"id": "%d", "label": %q}`, id, label)
		if _, err := js.PublishAsync("retraind.in.v1."+model+".labels", body); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(label string, each func()) (evaluations int) {
		waittest.EventuallyHolds(t, "the evaluation of "+label, func() (ok bool, err error) {
			if each != nil {
				each()
			}
			evaluations, ok = evaluated(label)
			return ok, nil
		})
		return evaluations
	}
	send(0, "geld")
	before := wait("geld", nil)
	had, peak, began := memory(cmd.Process.Pid, "RssAnon"), 0.0, time.Now()
	for n := range flood {
		send(1+n%(items-1), []string{"sport", "geld"}[n/items%2])
		if n%1000 == 0 {
			<-js.PublishAsyncComplete()
			peak = max(peak, memory(cmd.Process.Pid, "RssAnon"))
		}
	}
	send(0, "sport")
	evaluations := wait("sport", func() { peak = max(peak, memory(cmd.Process.Pid, "RssAnon")) }) - before
	took := time.Since(began)
	t.Logf("%d labels in %s: %d evaluations, memory from %.1f MB to %.1f MB", flood, took.Round(time.Millisecond),
		evaluations, had, peak)
	if had == 0 || peak-had > most {
		t.Errorf("memory moved from %.1f MB to %.1f MB", had, peak)
	}
	if bound := int(took/interval) + 1; evaluations < 1 || evaluations > bound {
		t.Errorf("%d evaluations in %s", evaluations, took)
	}
}

// realProgram builds the release binary. It skips the test in short runs, which are those with the race detector.
func realProgram(t testing.TB, dir string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("the program that is shipped has no race detector in it")
	}
	program := filepath.Join(dir, "retraind")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/retraind").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
