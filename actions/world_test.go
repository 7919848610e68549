package actions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// world has everything that a run uses: a store, the engine on its SQLite file, a source, a service that serves
// `current`, and commands that are real processes.
type world struct {
	t        *testing.T
	self     string
	dir      string // the model's directory
	store    *store.Store
	source   *fakeSource
	executor *Executor
	engine   *Engine
	served   *served
	promote  PromoteConfig
	deploy   *DeployConfig
	gpuStop  []gpu.StopConfig
	atOnce   int
	runs     int
}

type fakeSource struct {
	list  []Row
	err   error
	write func(LabelWrite, string, []LabelRow) (LabelsWritten, error)
	away  atomic.Int32  // number of reads that fail, as with an unreachable source
	stuck chan struct{} // if not nil, a write closes it and then waits for its context
}

func (s *fakeSource) SaltID(string) string { return "salt" }

func (s *fakeSource) ReadTrained(_ string, file io.Reader, seen *drift.Seen) error {
	return seen.AddLines(file, nil, []string{"title"})
}

func (s *fakeSource) WriteLabels(
	ctx context.Context, _ string, w LabelWrite, origin string, rows []LabelRow,
) (LabelsWritten, error) {
	if s.stuck != nil {
		close(s.stuck)
		<-ctx.Done()
		return LabelsWritten{}, ctx.Err()
	}
	return s.write(w, origin, rows)
}

func (s *fakeSource) Rows(context.Context, string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if s.away.Add(-1) >= 0 {
			yield(Row{}, fmt.Errorf("read the table: %w", &watch.Fault{Cause: "cannot reach PostgreSQL"}))
			return
		}
		for _, r := range s.list {
			if !yield(r, nil) {
				return
			}
		}
		if s.err != nil {
			yield(Row{}, s.err)
		}
	}
}

// served is a classifier that reads the fake training's model.json from `current`: at each request, or only once.
type served struct {
	dir string

	mu    sync.Mutex
	stuck bool              // reads its model only at start, and when the file restart appears; guarded by mu, like the rest
	model map[string]string // as last read
	name  string            // digest of the release last read
}

func (s *served) load() error {
	b, err := os.ReadFile(filepath.Join(CurrentLink(s.dir), "model.json"))
	if err != nil {
		return err
	}
	s.model = map[string]string{}
	if err := json.Unmarshal(b, &s.model); err != nil {
		return err
	}
	var r Release
	if b, err = os.ReadFile(filepath.Join(CurrentLink(s.dir), manifestFile)); err == nil {
		err = json.Unmarshal(b, &r)
	}
	s.name = r.Digest
	return err
}

func (s *served) fresh() error {
	if _, err := os.Stat(filepath.Join(s.dir, "mute")); err == nil {
		return errors.New("broken")
	}
	if os.Remove(filepath.Join(s.dir, "restart")) == nil {
		s.model = nil
	}
	if s.stuck && s.model != nil {
		return nil
	}
	return s.load()
}

func (s *served) setStuck(stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = stuck
}

// outcomesOnly skips a test in the short run under the race detector, because the test differs from others in its
// outcome, not in its concurrency.
func outcomesOnly(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("its concurrency is that of TestPromoted")
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := store.Open(t.Context(), filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, self: self, dir: filepath.Join(dir, "state", "models", "m"), store: s,
		promote: PromoteConfig{
			VerifyWithin: unit.Duration(10 * time.Second),
			UndoWithin:   unit.Duration(100 * time.Millisecond),
		},
	}
	w.served = &served{dir: w.dir}
	w.source = &fakeSource{}
	for i := range 260 {
		w.source.list = append(w.source.list, row(fmt.Sprint(i), titled(i), fmt.Sprint("category ", i%3), i < 60))
	}
	w.update(func(tx *store.Tx) error {
		for i, r := range w.source.list {
			it := store.Item{
				ID: r.ID, Heldout: r.Side == drift.SideTest, Group: r.Group, TextHash: drift.TextHash(r.Text),
				Text: r.Text, Labels: r.Labels, At: sealedAt,
			}
			if err := tx.PutItems("m", it); err != nil {
				return err
			}
			if err := tx.AddChanges("m",
				[]store.Change{{
					N: int64(i + 1), Source: "s", Key: r.ID, Op: string(watch.OpPut), Item: r.ID, New: r.Labels,
					At: sealedAt,
				}}, sealedAt); err != nil {
				return err
			}
		}
		return nil
	})
	w.executor = &Executor{
		Store: s, Runner: runner.Shim{Self: []string{self, "exec-step"}}, Self: self, Source: w.source,
		Host: "host", Log: slog.New(slog.DiscardHandler),
	}
	t.Cleanup(func() {
		w.stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w.start()
	return w
}

// start starts the engine as a daemon does; stop ends it as a graceful stop does, while commands continue.
func (w *world) start() {
	w.t.Helper()
	db, err := w.store.OpenEngine()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { closeDB(w.t, db) })
	w.engine, err = NewEngine(w.t.Context(), db, w.executor, "host", slog.New(slog.DiscardHandler))
	if err == nil {
		err = w.engine.Launch(w.atOnce)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func closeDB(t *testing.T, db *sql.DB) {
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func (w *world) stop() {
	if w.engine == nil {
		return
	}
	if err := w.engine.Shutdown(10 * time.Second); err != nil {
		w.t.Error(err)
	}
	w.engine = nil
}

func (w *world) update(f func(*store.Tx) error) {
	w.t.Helper()
	if err := w.store.Update(context.Background(), "test", f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) view(f func(*store.Tx) error) {
	w.t.Helper()
	if err := w.store.View(context.Background(), f); err != nil {
		w.t.Fatal(err)
	}
}

// train returns a training step whose model answers the given tenths of the items right.
func (w *world) train(tenths int) *CommandStep {
	c := argv("train", w.self, "fake-train", fmt.Sprint(tenths))
	c.Kind = KindPure
	return c
}

// argv returns a command step without further keys.
func argv(name string, exec ...string) *CommandStep {
	return &CommandStep{StepCommon: StepCommon{Name: name}, Exec: exec}
}

func sh(name, script string) *CommandStep {
	c := argv(name, script)
	c.Shell, c.Kind = true, KindOnce
	return c
}

// pipeline returns the default pipeline with the given training.
func pipeline(train StepType, extra ...StepType) []StepConfig {
	steps := []StepConfig{Do(DoExport), {train}, Do(DoGate), Do(DoRelease)}
	for _, s := range extra {
		steps = append(steps, StepConfig{s})
	}
	return append(steps, Do(DoVerify))
}

// submit creates a run and submits it.
func (w *world) submit(steps []StepConfig) Plan {
	w.t.Helper()
	w.runs++
	p := w.plan(steps)
	w.add(p)
	w.handOver(p)
	return p
}

// handOver submits a run as the daemon does: if the former run is still leaving the queue, it retries.
func (w *world) handOver(p Plan) {
	w.t.Helper()
	waittest.Eventually(w.t, p.Run+" handed over", func() bool {
		err := w.engine.Submit(p)
		if err != nil && !errors.Is(err, dbos.ErrQueueDeduplicated) {
			w.t.Fatal(err)
		}
		return err == nil
	})
}

func (w *world) add(p Plan) {
	w.t.Helper()
	w.update(func(tx *store.Tx) error {
		_, err := tx.AddRun(store.Run{
			ID: p.Run, Model: "m", Pipeline: "default", Trigger: p.Trigger, State: store.RunQueued,
			Plan: mustJSON(p), Created: p.Created,
		})
		return err
	})
}

func (w *world) plan(steps []StepConfig) Plan {
	serving := w.serving()
	run := fmt.Sprintf("run%04d", w.runs)
	return Plan{
		Run: run, Model: "m", Pipeline: "default", Trigger: "because", Created: now(), Champion: w.model().Champion,
		Stop:    w.gpuStop,
		Steps:   Resolve(steps, w.deploy, "/no/retraind"),
		Promote: w.promote.WithDefaults(), Serving: serving, ModelDir: w.dir, RunDir: filepath.Join(w.dir, "runs", run),
	}
}

func (w *world) serving() serving.Config {
	w.t.Helper()
	s := w.served
	svc := service{
		health: func() (int, any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := s.fresh(); err != nil {
				return 503, err.Error()
			}
			return 200, map[string]string{"status": "ok", "release": s.name}
		},
		answer: func(title string) (int, any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err := s.fresh(); err != nil {
				return 503, err.Error()
			}
			return 200, map[string]string{"label": s.model[title], "release": s.name}
		},
	}
	return svc.start(w.t)
}

// run executes a run to its end.
func (w *world) run(steps []StepConfig) store.Run {
	w.t.Helper()
	return w.await(w.submit(steps))
}

func (w *world) await(p Plan) (r store.Run) {
	w.t.Helper()
	waittest.Eventually(w.t, "the end of "+p.Run, func() bool {
		r = w.look(p)
		return r.State == store.RunEnded
	})
	return r
}

func (w *world) look(p Plan) (r store.Run) {
	w.t.Helper()
	w.view(func(tx *store.Tx) (err error) { r, err = tx.Run(p.Run); return err })
	return r
}

func (w *world) model() (m store.Model) {
	w.t.Helper()
	w.view(func(tx *store.Tx) (err error) { m, err = tx.Model("m"); return err })
	return m
}

func (w *world) release(digest string) (r store.Release) {
	w.t.Helper()
	w.view(func(tx *store.Tx) (err error) { r, err = tx.Release("m", digest); return err })
	return r
}

// steps returns a run's actions with their outcomes, in order.
func (w *world) steps(run string) (out []string) {
	w.t.Helper()
	w.view(func(tx *store.Tx) error {
		steps, err := tx.Steps(run)
		for _, s := range steps {
			out = append(out, s.Name+" "+string(s.State))
		}
		return err
	})
	return out
}

// events returns the kinds of a run's notifications, in order; each must have its own id.
func (w *world) events(run string) (kinds []string) {
	w.t.Helper()
	ids := map[string]bool{}
	w.view(func(tx *store.Tx) error {
		all, err := tx.Notifications(0, 10_000)
		for _, n := range all {
			if ids[n.ID] {
				w.t.Errorf("id %s twice", n.ID)
			}
			ids[n.ID] = true
			if strings.Contains(string(n.Body), `"`+run+`"`) {
				kinds = append(kinds, n.Kind)
			}
		}
		return err
	})
	return kinds
}

// serves checks that `current` points to a complete release of that digest, "" for none.
func (w *world) serves(digest string) {
	w.t.Helper()
	dir, err := current(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	got := ""
	if dir != "" {
		r, err := ReadRelease(dir)
		if err != nil {
			w.t.Error(err)
		}
		got = r.Digest
	}
	if got != digest {
		w.t.Errorf("current is %q, want %q", text.Digest(got), text.Digest(digest))
	}
}

// champion promotes a first release.
func (w *world) champion() string {
	w.t.Helper()
	if r := w.run(pipeline(w.train(7))); r.Outcome != string(policy.OutcomePromoted) {
		w.t.Fatalf("the first run has %s: %s", r.Outcome, r.Reason)
	}
	return w.model().Champion
}

func (w *world) ends(r store.Run, outcome policy.Outcome, reason string, steps ...string) {
	w.t.Helper()
	if r.Outcome != string(outcome) || !strings.Contains(r.Reason, reason) {
		w.t.Errorf("the run has %s: %s\nwant %s: …%s", r.Outcome, r.Reason, outcome, reason)
	}
	if got := w.steps(r.ID); !slices.Equal(got, steps) {
		w.t.Errorf("steps %q\nwant  %q", got, steps)
	}
}
