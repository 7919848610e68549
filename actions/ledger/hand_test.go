package ledger

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/docker"
	"github.com/retraind/retraind/internal/dockertest"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/waittest"
)

func TestMain(m *testing.M) { os.Exit(ollamatest.Main(m)) }

// subject is one thing for the conformance test. Its functions change the thing without the Hand, as a person would.
type subject struct {
	hand     Hand
	find     func() ([]Thing, error)
	start    func()
	stop     func()
	remove   func()
	exchange func() // replaces the thing with another instance; nil if its kind has no instances
}

// suite is the conformance test of every Hand.
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
	for range 2 { // stopping twice is no error
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
			t.Error("no detail about the replacement")
		}
		s.start()
		thing = one()
	}
	s.stop()
	s.remove()
	if got := stands("its removal", thing, Gone); got.Detail == "" {
		t.Error("no detail why it is gone")
	}
}

func container(id, state string) dockertest.Container {
	return dockertest.Container{
		ID: id, Name: "news-backend-1", Image: "sha256:aaaa", ImageName: "news-backend", State: state, Started: time.Now(),
		Restart: "always", Ports: map[int]int{8000: 8000},
		Labels: map[string]string{
			docker.LabelProject: "news", docker.LabelService: "backend", docker.LabelDir: "/srv/news", docker.LabelOneOff: "False",
		},
	}
}

func containers(t *testing.T) (Containers, *dockertest.Engine) {
	t.Helper()
	e := dockertest.Start(t)
	client, err := docker.New(e.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return Containers{Engine: client}, e
}

func TestContainersConform(t *testing.T) {
	t.Parallel()
	c, e := containers(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	e.Put(container("c1", "running"))
	id := "c1"
	suite(t, subject{
		hand:  c,
		find:  func() ([]Thing, error) { return c.Find(t.Context(), "/srv/news", "backend", "") },
		start: func() { must(c.Engine.Start(t.Context(), id)) },
		stop:  func() { must(c.Engine.Stop(t.Context(), id, time.Second)) },
		exchange: func() {
			must(c.Engine.Remove(t.Context(), id))
			id = "c2"
			e.Put(container(id, "running"))
		},
		remove: func() { must(c.Engine.Remove(t.Context(), id)) },
	})
}

func TestContainersThatCannotComeBack(t *testing.T) {
	t.Parallel()
	c, e := containers(t)
	passing := container("c1", "running")
	passing.AutoRemove = true
	e.Put(passing)
	if _, err := c.Find(t.Context(), "/srv/news", "backend", ""); err == nil || !strings.Contains(err.Error(), "(--rm)") {
		t.Errorf("got %v", err)
	}
	sick := container("c1", "running")
	sick.Health = "starting"
	e.Put(sick)
	things, err := c.Find(t.Context(), "/srv/news", "backend", "")
	if err != nil || len(things) != 1 || things[0].Container.Policy != "always" || things[0].Container.Ports[0] != 8000 {
		t.Fatalf("%+v, %v", things, err)
	}
	if s, err := c.Look(t.Context(), things[0]); err != nil || s.Ready || s.Detail != "it is running starting" {
		t.Errorf("%+v, %v", s, err)
	}
	e.End()
	if _, err := c.Find(t.Context(), "/srv/news", "backend", ""); !errors.Is(err, docker.ErrAway) {
		t.Errorf("an unreachable engine: %v", err)
	}
	if _, err := c.Look(t.Context(), things[0]); !errors.Is(err, docker.ErrAway) {
		t.Errorf("an unreachable engine: %v", err)
	}
}

// A container is found whether compose was run in the configured directory or in a link to it.
func TestContainersBehindLinks(t *testing.T) {
	t.Parallel()
	c, e := containers(t)
	root := t.TempDir()
	dir, link := filepath.Join(root, "news"), filepath.Join(root, "link")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink(dir, link)); err != nil {
		t.Fatal(err)
	}
	for label, configured := range map[string]string{dir: link, link: dir} {
		one := container("c1", "running")
		one.Labels[docker.LabelDir] = label
		e.Put(one)
		things, err := c.Find(t.Context(), configured, "backend", "")
		if err != nil || len(things) != 1 || things[0].Container.Dir != configured {
			t.Errorf("run in %s, configured as %s: %+v, %v", label, configured, things, err)
		}
	}
}

// systemctl is a script that replaces the program. It keeps the states of units in files.
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
	write(t, filepath.Join(dir, "off.service.masked"), "") // an inactive unit is not found, even if it is masked
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
			ollamatest.Classifier{Else: []string{"news", "sport"}, Version: name}.Install(t, url, name, system)
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

// A restored model is loaded for the rest of its keep-alive, or forever if it was loaded forever.
func TestModelsKeepTheirTime(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		client := ollamatest.Client(t, url)
		name := ollamatest.Name(t)
		ollamatest.Classifier{Else: []string{"news", "sport"}, Version: name}.Install(t, url, name, "")
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

// A server that cannot be reached counts as having no loaded models.
func TestModelsOfAServerThatIsAway(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:1"
	things, err := Models{}.Find(t.Context(), url, nil, time.Now())
	if err != nil || len(things) != 0 {
		t.Errorf("found %v, %v", things, err)
	}
	thing := Thing{Kind: KindModel, Loaded: &Loaded{URL: url, Name: "liga"}}
	if s, err := (Models{}).Look(t.Context(), thing); err != nil || s.Standing != Off {
		t.Errorf("state %v, %v", s, err)
	}
	if err := (Models{}).Stop(t.Context(), thing); err != nil {
		t.Error(err)
	}
	if err := (Models{}).Start(t.Context(), thing); err == nil {
		t.Error("it starts without a server")
	}
}

// The password of a health URL is not shown.
func TestHealthHidesThePassword(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	url := strings.Replace(server.URL, "://", "://bob:geheim@", 1)
	thing := Thing{Unit: &Unit{Name: "tagger.service"}, Healthy: url}
	for _, got := range []string{healthy(t.Context(), url), thing.Return()} {
		if strings.Contains(got, "geheim") || !strings.Contains(got, "bob:xxxxx@") {
			t.Error(got)
		}
	}
}
