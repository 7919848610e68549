package ledger

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/waittest"
)

// subject is one kind of thing for the conformance suite, as a person has it.
type subject struct {
	hand     Hand
	find     func() ([]Thing, error)
	start    func() // by a person
	stop     func()
	remove   func()
	exchange func() // nil where the kind knows none
}

// suite is what every Hand does.
func suite(t *testing.T, s subject) {
	t.Helper()
	ctx := t.Context()
	one := func() Thing {
		t.Helper()
		things, err := s.find()
		if err != nil || len(things) != 1 {
			t.Fatalf("found %v, %v", things, err)
		}
		return things[0]
	}
	stands := func(what string, thing Thing, want ...Standing) State {
		t.Helper()
		var got State
		waittest.Eventually(t, what, func() bool {
			state, err := s.hand.Look(ctx, thing)
			if err != nil {
				t.Fatal(err)
			}
			got = state
			return slices.Contains(want, state.Standing)
		})
		return got
	}
	thing := one()
	if got := stands("the thing that runs", thing, Untouched); !got.Ready || got.Thing.Key() != thing.Key() {
		t.Errorf("it runs: %+v", got)
	}
	for range 2 { // twice is harmless
		if err := s.hand.Stop(ctx, thing); err != nil {
			t.Fatal(err)
		}
	}
	stands("its end", thing, Off)
	if things, err := s.find(); err != nil || len(things) != 0 {
		t.Errorf("what is off is found: %v, %v", things, err)
	}
	for range 2 {
		if err := s.hand.Start(ctx, thing); err != nil {
			t.Fatal(err)
		}
	}
	if got := stands("its return", thing, Again, Untouched); !got.Ready {
		waittest.Eventually(t, "it to be ready", func() bool {
			got, err := s.hand.Look(ctx, thing)
			return err == nil && got.Ready
		})
	}
	s.stop()
	stands("its end by a person", thing, Off)
	s.start()
	stands("its start by a person", thing, Again, Untouched)
	thing = one()
	if s.exchange != nil {
		s.exchange()
		if got := stands("its successor", thing, Exchanged); got.Detail == "" {
			t.Error("nothing says what took its place")
		}
		s.start()
		thing = one()
	}
	s.stop()
	s.remove()
	if got := stands("its removal", thing, Gone); got.Detail == "" {
		t.Error("nothing says why it is gone")
	}
}

// fakeEngine is an engine with the containers of one service.
type fakeEngine struct {
	mu   sync.Mutex
	list []EngineContainer
	away error
}

func (f *fakeEngine) Containers(_ context.Context, _, service string) ([]EngineContainer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []EngineContainer
	for _, c := range f.list {
		if c.Service == service {
			out = append(out, c)
		}
	}
	return out, f.away
}

func (f *fakeEngine) Inspect(_ context.Context, id string) (EngineContainer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.list {
		if c.ID == id {
			return c, f.away
		}
	}
	return EngineContainer{}, ErrNoContainer
}

func (f *fakeEngine) set(id string, change func(*EngineContainer)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.list {
		if f.list[i].ID == id {
			change(&f.list[i])
			return f.away
		}
	}
	return ErrNoContainer
}

func (f *fakeEngine) Start(_ context.Context, id string) error {
	return f.set(id, func(c *EngineContainer) {
		if !c.Running {
			c.Running, c.Started = true, time.Now()
		}
	})
}

func (f *fakeEngine) Stop(_ context.Context, id string, _ time.Duration) error {
	return f.set(id, func(c *EngineContainer) { c.Running = false })
}

func TestContainersConform(t *testing.T) {
	t.Parallel()
	f := &fakeEngine{}
	backend := EngineContainer{
		Container: Container{ID: "c1", Name: "news-backend-1", Project: "news", Service: "backend", Started: time.Now()},
		Running:   true,
	}
	f.list = []EngineContainer{backend}
	id := "c1"
	suite(t, subject{
		hand:  Containers{Engine: f},
		find:  func() ([]Thing, error) { return Containers{Engine: f}.Find(t.Context(), "/srv/news", "backend", "") },
		start: func() { _ = f.Start(t.Context(), id) },
		stop:  func() { _ = f.Stop(t.Context(), id, 0) },
		exchange: func() {
			id = "c2"
			next := backend
			next.ID, next.Started = id, time.Now()
			f.list = []EngineContainer{next}
		},
		remove: func() { f.list = nil },
	})
}

// systemctl is a program that plays systemctl over files in a directory.
const systemctl = `#!/bin/sh
dir=$(dirname "$0")
shift # --no-ask-password
verb=$1
for unit; do :; done
unit=$dir/$unit
case $verb in
show)
	if [ -e "$unit.masked" ]; then load=masked; elif [ -e "$unit.unknown" ]; then load=not-found; else load=loaded; fi
	state=$(cat "$unit.state" 2>/dev/null || echo inactive)
	printf 'LoadState=%s\nActiveState=%s\nInvocationID=%s\nCanStart=%s\nCanStop=yes\nTransient=no\n' \
		$load $state "$(cat "$unit.invocation" 2>/dev/null)" "$(cat "$unit.canstart" 2>/dev/null || echo yes)" ;;
start)
	[ -e "$unit.masked" ] && { echo "Unit is masked." >&2; exit 1; }
	[ "$(cat "$unit.state" 2>/dev/null)" = active ] && exit 0
	echo active >"$unit.state"
	date +%s%N >"$unit.invocation" ;;
stop)
	echo inactive >"$unit.state"; : >"$unit.invocation" ;;
esac
`

func fakeSystemctl(t *testing.T) (u Units, dir string) {
	t.Helper()
	dir = t.TempDir()
	u = Units{Systemctl: filepath.Join(dir, "systemctl")}
	if err := os.WriteFile(u.Systemctl, []byte(systemctl), 0o700); err != nil {
		t.Fatal(err)
	}
	return u, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUnitsConform(t *testing.T) {
	t.Parallel()
	u, dir := fakeSystemctl(t)
	ask := func(verb string) func() {
		return func() {
			if _, err := u.run(t.Context(), verb, "--", "tagger.service"); err != nil {
				t.Error(err)
			}
		}
	}
	ask("start")()
	suite(t, subject{
		hand:  u,
		find:  func() ([]Thing, error) { return u.Find(t.Context(), "tagger.service", "") },
		start: ask("start"), stop: ask("stop"),
		remove: func() { write(t, filepath.Join(dir, "tagger.service.masked"), "") },
	})
}

func TestUnitsThatCannotComeBack(t *testing.T) {
	t.Parallel()
	u, dir := fakeSystemctl(t)
	for name, c := range map[string]struct{ files, want string }{
		"unknown.service": {"unknown", "is not known to systemd"},
		"masked.service":  {"masked state=active", "could not be started again: it is masked"},
		"manual.service":  {"canstart=no state=active", "may not be started and stopped by hand"},
	} {
		for f := range strings.FieldsSeq(c.files) {
			key, value, _ := strings.Cut(f, "=")
			write(t, filepath.Join(dir, name+"."+key), value)
		}
		if things, err := u.Find(t.Context(), name, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, things, err)
		}
	}
	write(t, filepath.Join(dir, "off.service.masked"), "") // what is off stays off, also masked
	if things, err := u.Find(t.Context(), "off.service", ""); err != nil || len(things) != 0 {
		t.Errorf("off: %v, %v", things, err)
	}
	if _, err := (Units{Systemctl: "/no/systemctl"}).Find(t.Context(), "x.service", ""); err == nil {
		t.Error("without systemctl there is no error")
	}
}

func TestModelsConform(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		client := ollamatest.Client(t, url)
		name := ollamatest.Name(t)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		install := func(system string) {
			ollamatest.Classifier{Else: []string{"news", "sport"}}.Install(t, url, name, system)
		}
		load := func() { must(client.Load(t.Context(), name, time.Hour)) }
		stop := func() { must(client.Unload(t.Context(), name)) }
		install("one")
		load()
		suite(t, subject{
			hand:  Models{},
			find:  func() ([]Thing, error) { return Models{}.Find(t.Context(), url, []string{name}, time.Now()) },
			start: load, stop: stop,
			exchange: func() {
				stop()
				install("two")
			},
			remove: func() { must(client.Delete(t.Context(), name)) },
		})
	})
}

// A model comes back with what was left of its time in memory; one that was to stay for ever stays for ever.
func TestModelsKeepTheirTime(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		client := ollamatest.Client(t, url)
		name := ollamatest.Name(t)
		ollamatest.Classifier{Else: []string{"news", "sport"}}.Install(t, url, name, "")
		for _, keep := range []time.Duration{-1, 20 * time.Minute} {
			if err := client.Load(t.Context(), name, keep); err != nil {
				t.Fatal(err)
			}
			things, err := Models{}.Find(t.Context(), url, []string{name}, time.Now())
			if err != nil || len(things) != 1 {
				t.Fatalf("%v, %v", things, err)
			}
			left := things[0].Loaded.Left
			if keep < 0 && left >= 0 || keep > 0 && (left > keep || left < keep-time.Minute) {
				t.Errorf("kept for %s, %s are left", keep, left)
			}
			for _, do := range []func(context.Context, Thing) error{Models{}.Stop, Models{}.Start} {
				if err := do(t.Context(), things[0]); err != nil {
					t.Fatal(err)
				}
			}
			again, err := Models{}.Find(t.Context(), url, []string{name}, time.Now())
			if err != nil || len(again) != 1 || (again[0].Loaded.Left-left).Abs() > time.Minute {
				t.Errorf("it is back as %+v, %v; %s were left", again, err, left)
			}
		}
	})
}

// A server that is away has nothing in memory.
func TestModelsOfAServerThatIsAway(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:1"
	things, err := Models{}.Find(t.Context(), url, nil, time.Now())
	if err != nil || len(things) != 0 {
		t.Errorf("found %v, %v", things, err)
	}
	thing := Thing{Kind: KindModel, Loaded: &Loaded{URL: url, Name: "liga"}}
	if s, err := (Models{}).Look(t.Context(), thing); err != nil || s.Standing != Off {
		t.Errorf("it stands %v, %v", s, err)
	}
	if err := (Models{}).Stop(t.Context(), thing); err != nil {
		t.Error(err)
	}
	if err := (Models{}).Start(t.Context(), thing); err == nil {
		t.Error("it starts without a server")
	}
}
