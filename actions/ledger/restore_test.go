package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
)

// world is a simulated host with units. From the call at which the process dies, every call panics, since a killed
// process does nothing more.
type world struct {
	units map[string]*unitState
	calls int
	death int // number of the call at which the process dies; 0: never
}

type unitState struct {
	on       bool
	instance int
	gone     bool
}

var errKilled = errors.New("killed")

func (w *world) call() {
	if w.calls++; w.calls == w.death {
		panic(errKilled)
	}
}

func (w *world) thing(name string) Thing {
	u := w.units[name]
	return Thing{Kind: KindUnit, Unit: &Unit{Name: name, State: "active", Invocation: fmt.Sprint(u.instance)}}
}

func (w *world) Look(_ context.Context, t Thing) (State, error) {
	w.call()
	u := w.units[t.Unit.Name]
	switch {
	case u.gone:
		return State{Standing: Gone, Detail: "masked"}, nil
	case !u.on:
		return State{Standing: Off}, nil
	case fmt.Sprint(u.instance) == t.Unit.Invocation:
		return State{Standing: Untouched, Ready: true, Thing: w.thing(t.Unit.Name)}, nil
	}
	return State{Standing: Again, Ready: true, Thing: w.thing(t.Unit.Name)}, nil
}

func (w *world) Stop(_ context.Context, t Thing) error {
	w.call()
	w.units[t.Unit.Name].on = false
	w.call() // a second call, so that the process can also die after the stop
	return nil
}

func (w *world) Start(_ context.Context, t Thing) error {
	w.call()
	if u := w.units[t.Unit.Name]; !u.on {
		u.on = true
		u.instance++
	}
	w.call()
	return nil
}

func (w *world) ledger(dir string) *Ledger {
	return &Ledger{Dir: dir, Hands: map[Kind]Hand{KindUnit: w}}
}

// later returns a time at which every stop has certainly ended.
func later() time.Time { return time.Now().Add(time.Hour) }

// TestKilledAnywhere kills the process at random calls, while it stops units and then up to three times while it
// restores them. At the end the units that ran before run again, the others are off, and none was started twice.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	seeds := uint64(80)
	if os.Getenv("RETRAIND_LONG") != "" {
		seeds = 2000
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := &world{units: map[string]*unitState{}}
		var all, running []string
		for i := range 1 + rng.IntN(4) {
			name := fmt.Sprintf("s%d.service", i)
			w.units[name] = &unitState{on: rng.IntN(3) > 0}
			all = append(all, name)
			if w.units[name].on {
				running = append(running, name)
			}
		}
		l := w.ledger(t.TempDir())
		process := func(work func()) {
			w.calls, w.death = 0, 0
			if rng.IntN(3) > 0 {
				w.death = 1 + rng.IntN(12)
			}
			defer func() {
				if r := recover(); r != nil && r != errKilled { //nolint:errorlint // it is the very value
					panic(r)
				}
			}()
			work()
		}
		wishes := map[string]bool{} // by name: whether a person has started the unit
		process(func() {
			for _, name := range running {
				entries, err := l.Note(Run{ID: "r"}, time.Now(), w.thing(name))
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Stop(t.Context(), entries[0].Thing); err != nil {
					t.Fatal(err)
				}
			}
		})
		for _, name := range all {
			if u := w.units[name]; rng.IntN(8) == 0 {
				switch {
				case rng.IntN(2) == 0:
					u.gone = !u.on
				case !u.on:
					u.on, wishes[name] = true, true
					u.instance++
				}
			}
		}
		for range 3 {
			process(func() {
				_, _, _ = l.Restore(t.Context(), Order{Now: later})
			})
		}
		w.death = 0
		results, _, err := l.Restore(t.Context(), Order{Now: later})
		if err != nil {
			t.Fatal(err)
		}
		if entries, bad, err := l.Entries(); len(entries)+len(bad) > 0 || err != nil {
			t.Fatalf("seed %d: still owed: %v %v %v after %v", seed, entries, bad, err, results)
		}
		for _, name := range all {
			u := w.units[name]
			want := slices.Contains(running, name) && !u.gone || wishes[name]
			if u.on != want || u.instance > 1 {
				t.Fatalf("seed %d: %s runs: %v, want %v; %d starts", seed, name, u.on, want, u.instance)
			}
		}
	}
}

func noted(t *testing.T, w *world, names ...string) *Ledger {
	t.Helper()
	l := w.ledger(t.TempDir())
	for _, name := range names {
		w.units[name] = &unitState{on: true}
		if _, err := l.Note(Run{ID: "r1", Dir: t.TempDir()}, time.Now().Add(-time.Hour), w.thing(name)); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func restore(t *testing.T, l *Ledger, o Order) map[string]string {
	t.Helper()
	results, _, err := l.Restore(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, r := range results {
		said[r.Entry.Unit.Name] = string(r.Ending) + ": " + r.Detail
	}
	return said
}

func TestRestore(t *testing.T) {
	t.Parallel()
	w := &world{units: map[string]*unitState{}}
	l := noted(t, w, "a", "b", "c", "d", "e")
	w.units["a"].on = false
	w.units["b"] = &unitState{on: true, instance: 5} // started by a person
	w.units["c"] = &unitState{gone: true}
	w.units["d"].on = false
	next := Run{ID: "r2"} // another run found d stopped and needs it stopped
	entries, _, err := l.Entries()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Unit.Name == "d" })
	if _, err := l.Note(next, time.Now(), entries[i].Thing); err != nil {
		t.Fatal(err)
	}
	due := func(e Entry) string {
		if e.Run.ID == "r2" {
			return "its run is active"
		}
		return ""
	}
	want := map[string]string{
		"a": "restored: it runs again, after 1h0m0s",
		"b": "left_alone: it was started meanwhile, and is left alone",
		"c": "left_alone: it cannot run any more, and is left alone: masked",
		"d": "passed_on: run r2 needs it stopped",
		"e": "kept: it was not stopped",
	}
	a := slices.IndexFunc(entries, func(e Entry) bool { return e.Unit.Name == "a" })
	now := func() time.Time { return entries[a].Stopped.Add(time.Hour) }
	if got := restore(t, l, Order{Due: due, Now: now}); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if !w.units["a"].on || w.units["d"].on {
		t.Errorf("a runs: %v, d runs: %v", w.units["a"].on, w.units["d"].on)
	}
	if got := restore(t, l, Order{}); !strings.HasPrefix(got["d"], "restored") || !w.units["d"].on || len(got) != 1 {
		t.Errorf("at the end of the other run: %v", got)
	}
}

// A thing that one step of a run stops until the end of the run stays stopped, whichever of its steps stops it first.
func TestUntilEnd(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		w := &world{units: map[string]*unitState{"a": {on: true}}}
		l := w.ledger(t.TempDir())
		for _, untilEnd := range []bool{first, !first} {
			got, err := l.Note(Run{ID: "r1", UntilEnd: untilEnd}, time.Now(), w.thing("a"))
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
		}
		entries, _, err := l.Entries()
		if err != nil || len(entries) != 1 || !entries[0].UntilEnd {
			t.Errorf("first %v: %+v, %v", first, entries, err)
		}
	}
}

// A service that runs but is not healthy keeps its entry, with the reason, until its health URL answers.
func TestRestoreIsVerified(t *testing.T) {
	t.Parallel()
	status := http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	w := &world{units: map[string]*unitState{"a": {on: true}}}
	l := w.ledger(t.TempDir())
	thing := w.thing("a")
	thing.Healthy = server.URL + "/health"
	if _, err := l.Note(Run{ID: "r1"}, time.Now().Add(-time.Hour), thing); err != nil {
		t.Fatal(err)
	}
	w.units["a"].on = false
	o := Order{Patience: time.Millisecond}
	if got := restore(t, l, o); !strings.Contains(got["a"], "owed: not healthy after 1ms: "+server.URL+"/health answers 503") {
		t.Errorf("got %v", got)
	}
	entries, _, err := l.Entries()
	if err != nil || len(entries) != 1 || !strings.Contains(entries[0].Problem, "503") {
		t.Fatalf("got %+v, %v", entries, err)
	}
	status = http.StatusOK
	if got := restore(t, l, o); !strings.HasPrefix(got["a"], "restored") || w.units["a"].instance != 1 {
		t.Errorf("got %v, started %d times", got, w.units["a"].instance)
	}
}

// After the death of the process that requested a stop, the stop may still be in progress. A thing that still runs is
// therefore not yet regarded as never stopped.
func TestStopUnderWay(t *testing.T) {
	t.Parallel()
	w := &world{units: map[string]*unitState{"a": {on: true}}}
	l := w.ledger(t.TempDir())
	if _, err := l.Note(Run{ID: "r1"}, time.Now().Add(30*time.Minute), w.thing("a")); err != nil {
		t.Fatal(err)
	}
	if got := restore(t, l, Order{Patience: time.Millisecond}); got["a"] != "owed: not healthy after 1ms: its stop may still be in progress" {
		t.Errorf("got %v", got)
	}
	if got := restore(t, l, Order{Now: later}); got["a"] != "kept: it was not stopped" {
		t.Errorf("got %v", got)
	}
}

// Damaged entries are renamed and reported; readable ones are restored.
func TestDamagedEntries(t *testing.T) {
	t.Parallel()
	w := &world{units: map[string]*unitState{}}
	l := noted(t, w, "a")
	w.units["a"].on = false
	bad := map[string]string{"half.json": `{"id": "ha`, "empty.json": "", "other.json": `{"kind": "cloud"}`}
	for name, text := range bad {
		write(t, filepath.Join(l.Dir, name), text)
	}
	write(t, filepath.Join(l.Dir, ".half.json1234"), "{") // left by a process that was killed during the write
	if err := os.Symlink("/dev/zero", filepath.Join(l.Dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	results, said, err := l.Restore(t.Context(), Order{})
	if err != nil || len(results) != 1 || results[0].Ending != Restored || len(said) != 4 {
		t.Fatalf("got %+v, %v, %v", results, said, err)
	}
	for name := range bad {
		if b, err := os.ReadFile(filepath.Join(l.Dir, name+".damaged")); err != nil || string(b) != bad[name] {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, said, err = l.Restore(t.Context(), Order{}); err != nil || len(said) != 0 {
		t.Errorf("reported again: %v, %v", said, err)
	}
}

// If an entry cannot be written, Note fails before anything is stopped.
func TestNoteThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := &world{units: map[string]*unitState{"a": {on: true}}}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for _, dir := range []string{filepath.Join(file, "ledger"), "/proc/ledger"} {
		l := w.ledger(dir)
		_, err := l.Note(Run{ID: "r1"}, time.Now(), w.thing("a"))
		if err == nil || !strings.Contains(err.Error(), filepath.Dir(dir)) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	l := w.ledger(filepath.Join(t.TempDir(), "none"))
	if entries, bad, err := l.Entries(); err != nil || len(entries)+len(bad) > 0 {
		t.Errorf("a ledger that was never written: %v %v %v", entries, bad, err)
	}
}

// Restore waits for the lock that another process holds.
func TestOneRestoresAtATime(t *testing.T) {
	t.Parallel()
	w := &world{units: map[string]*unitState{}}
	l := noted(t, w, "a")
	w.units["a"].on = false
	unlock, err := l.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, _, err := l.Restore(ctx, Order{}); !errors.Is(err, context.DeadlineExceeded) || w.units["a"].on {
		t.Errorf("beside another: %v", err)
	}
	unlock()
	if got := restore(t, l, Order{}); !strings.HasPrefix(got["a"], "restored") {
		t.Errorf("got %v", got)
	}
	waittest.Eventually(t, "nothing to be owed", func() bool {
		entries, _, err := l.Entries()
		return err == nil && len(entries) == 0
	})
}
