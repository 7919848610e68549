package ollamatags

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/serving/ollama"
)

func TestMain(m *testing.M) { os.Exit(ollamatest.Main(m)) }

const schema = `{"type":"object","properties":{"label":{"type":"string","enum":["none","politics","sport"]}},"required":["label"]}`

// bench is a model on a server, with the record of its names.
type bench struct {
	*testing.T
	c     *ollama.Client
	place Place
}

func newBench(t *testing.T, url string) *bench {
	t.Helper()
	name := ollamatest.Name(t)
	return &bench{
		t,
		ollamatest.Client(t, url),
		Place{URL: url, Model: name, State: filepath.Join(t.TempDir(), "ollama.json")},
	}
}

// ask returns a request as clients send it.
func ask(text string) ollama.ChatRequest {
	return ollama.ChatRequest{Messages: []ollama.Message{{Role: "user", Content: text}}, Format: json.RawMessage(schema)}
}

// release creates the files of a release that answers a text with the label if the text has the word.
func (b *bench) release(word, label string) Release {
	b.Helper()
	model := ollamatest.Classifier{
		Words:   map[string][]string{word: {label}},
		Else:    []string{"none"},
		Version: b.place.Model,
	}
	return b.releaseOf(model.GGUF(b))
}

func (b *bench) releaseOf(gguf []byte) Release {
	b.Helper()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model.gguf"), gguf, 0o600); err != nil {
		b.Fatal(err)
	}
	recipe := Recipe{GGUF: "model.gguf", Template: ollamatest.Template, Parameters: ollamatest.Parameters()}
	if err := WriteRecipe(dir, recipe); err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256(gguf)
	return Release{"sha256:" + hex.EncodeToString(sum[:]), dir}
}

func quiet(float64, string) {}

func (b *bench) make(r Release, stay ...string) Made {
	b.Helper()
	m, err := Make(b.Context(), MakeInput{Place: b.place, Release: r, Keep: 1, Ask: ask("goal"), Serving: stay}, quiet)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func (b *bench) switchTo(r Release, former string) Switched {
	b.Helper()
	s, err := Switch(b.Context(), SwitchInput{Place: b.place, Want: &r, Former: former, Keep: 1, Ask: ask("goal")}, quiet)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// answer returns the answer that clients get to "goal"; "" if there is none.
func (b *bench) answer() string {
	b.Helper()
	q := ask("goal")
	q.Model = b.place.Model
	a, err := b.c.Chat(b.Context(), q)
	if errors.Is(err, ollama.ErrNotFound) {
		return ""
	}
	var out struct{ Label string }
	if err != nil || json.Unmarshal([]byte(a.Text), &out) != nil {
		b.Fatal(a.Text, err)
	}
	return out.Label
}

func (b *bench) names() map[string]string {
	b.Helper()
	have, err := names(b.Context(), b.c)
	if err != nil {
		b.Fatal(err)
	}
	return have
}

// Switches to a first release where no model served, to a second one, and back.
func TestSwitch(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		one, two := b.release("goal", "sport"), b.release("goal", "politics")
		made := b.make(one)
		if made.Name != ollama.ReleaseTag(b.place.Model, one.Digest) || made.Digest == "" || made.Size == 0 ||
			made.Server == "" {
			t.Errorf("%+v", made)
		}
		if got := b.answer(); got != "" {
			t.Fatalf("clients get %q before anything was switched", got)
		}
		if s := b.switchTo(one, ""); !s.Changed || s.Former != "" || s.Digest != made.Digest || b.answer() != "sport" {
			t.Errorf("%+v, answer %q", s, b.answer())
		}
		if s := b.switchTo(one, ""); s.Changed {
			t.Errorf("repeated: %+v", s)
		}
		if again := b.make(one); again.Digest != made.Digest {
			t.Errorf("made again: %+v", again)
		}
		b.make(two)
		s := b.switchTo(two, one.Digest)
		if s.Former != made.Name || b.answer() != "politics" || s.Busy {
			t.Errorf("%+v, answer %q", s, b.answer())
		}
		running, err := b.c.Running(t.Context())
		if err != nil || slices.ContainsFunc(running, func(r ollama.Running) bool { return r.Digest == made.Digest }) {
			t.Errorf("the former one stays loaded: %+v, %v", running, err)
		}
		if s := b.switchTo(one, two.Digest); !s.Changed || b.answer() != "sport" {
			t.Errorf("back: %+v, answer %q", s, b.answer())
		}
		// The name of the release was deleted, but not its files: the switch creates the name again.
		if err := b.c.Delete(t.Context(), ollama.ReleaseTag(b.place.Model, two.Digest)); err != nil {
			t.Fatal(err)
		}
		if b.switchTo(two, one.Digest); b.answer() != "politics" {
			t.Errorf("answer %q", b.answer())
		}
	})
}

// The model that served before the first release is kept under an additional name, and a rollback restores it from
// there.
func TestOverWhatServed(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		old := ollamatest.Classifier{
			Words:   map[string][]string{"goal": {"politics"}},
			Else:    []string{"none"},
			Version: "old" + b.place.Model,
		}
		old.Install(t, url, b.place.Model, "")
		one := b.release("goal", "sport")
		b.make(one)
		s := b.switchTo(one, "adopted:1")
		if !strings.Contains(s.Former, ":former-") || b.answer() != "sport" {
			t.Fatalf("%+v, answer %q", s, b.answer())
		}
		if s := b.switchTo(Release{Digest: "adopted:1"}, one.Digest); b.answer() != "politics" || !s.Changed {
			t.Errorf("%+v, answer %q", s, b.answer())
		}
		if err := b.c.Delete(t.Context(), s.Former); err != nil {
			t.Fatal(err)
		}
		b.switchTo(one, "adopted:1")
		unknown := SwitchInput{Place: b.place, Want: &Release{Digest: "adopted:2"}, Ask: ask("goal")}
		if _, err := Switch(t.Context(), unknown, quiet); err == nil ||
			!strings.Contains(err.Error(), "there are no files to create it from") {
			t.Error(err)
		}
	})
}

// If there was no model before, a rollback removes the name, but only if it refers to the refused release.
func TestTakeAway(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		one := b.release("goal", "sport")
		away := func() Switched {
			s, err := Switch(t.Context(), SwitchInput{Place: b.place, Refused: one.Digest}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := away(); s.Changed {
			t.Errorf("%+v", s)
		}
		b.make(one)
		b.switchTo(one, "")
		if s := away(); !s.Changed || b.answer() != "" {
			t.Errorf("%+v, answer %q", s, b.answer())
		}
		b.switchTo(one, "")
		ollamatest.Classifier{
			Words:   map[string][]string{"goal": {"politics"}},
			Version: "hand" + b.place.Model,
		}.Install(
			t,
			url,
			b.place.Model,
			"",
		)
		if s := away(); s.Changed || b.answer() != "politics" {
			t.Errorf("a reassigned name: %+v, answer %q", s, b.answer())
		}
	})
}

// Old names are deleted, except those of the model in service, of the former release and of another model, and those
// that a person has given to another model.
func TestPrune(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		other := newBench(t, url)
		other.place.Model = b.place.Model + ":other"
		strange := other.release("match", "sport")
		other.make(strange)
		releases := []Release{}
		for _, label := range []string{"sport", "politics", "none"} {
			releases = append(releases, b.release("goal"+label, label), b.release("kick"+label, label))
		}
		moved := ollama.ReleaseTag(b.place.Model, releases[1].Digest)
		former := ""
		for i, r := range releases {
			b.make(r, former)
			if i == 1 {
				ollamatest.Classifier{
					Words:   map[string][]string{"x": {"sport"}},
					Version: "hand" + b.place.Model,
				}.Install(
					t,
					url,
					moved,
					"",
				)
				continue
			}
			b.switchTo(r, former)
			former = r.Digest
		}
		have := b.names()
		for i, r := range releases {
			_, there := have[ollama.ReleaseTag(b.place.Model, r.Digest)]
			if want := i == 1 || i >= 3; there != want { // in service, former, one more (Keep), and the reassigned one
				t.Errorf("release %d is there: %v", i, there)
			}
		}
		if _, there := have[ollama.ReleaseTag(b.place.Model, strange.Digest)]; !there {
			t.Error("another model's name is gone")
		}
	})
}

func TestWhatCannotBeMade(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		good := ollamatest.Classifier{Words: map[string][]string{"goal": {"sport"}}, Version: b.place.Model}
		alien := good
		alien.Architecture = "nosuch"
		fails := func(r Release, q ollama.ChatRequest, says string) {
			t.Helper()
			_, err := Make(t.Context(), MakeInput{Place: b.place, Release: r, Ask: q}, quiet)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		}
		whole := good.GGUF(t)
		fails(b.releaseOf(whole[:len(whole)-1000]), ask("goal"), "it was cut off")
		fails(b.releaseOf([]byte("no model")), ask("goal"), "not a GGUF file")
		gone := b.releaseOf(append(slices.Clone(whole), 0))
		os.Remove(filepath.Join(gone.Dir, "model.gguf"))
		fails(gone, ask("goal"), "let the conversion write $RETRAIND_RELEASE_DIR/model.gguf")
		bad := b.releaseOf(alien.GGUF(t))
		fails(bad, ask("goal"), "the model was created, but does not answer")
		if _, there := b.names()[ollama.ReleaseTag(b.place.Model, bad.Digest)]; there {
			t.Error("a name that cannot be loaded stays")
		}
		// The name of a release that a person has given to another model is created again.
		taken := b.releaseOf(whole)
		other := ollamatest.Classifier{Words: map[string][]string{"goal": {"politics"}}, Version: "other" + b.place.Model}
		other.Install(t, url, ollama.ReleaseTag(b.place.Model, taken.Digest), "")
		b.switchTo(taken, "")
		if got := b.answer(); got != "sport" {
			t.Errorf("answer %q of a name that was somebody else's", got)
		}
		q := ask("goal")
		q.Format = json.RawMessage(`{"type":"nosuch"}`)
		fails(b.releaseOf(whole), q, "schema")
		b.place.Model = ollama.ReleaseTag(b.place.Model, "sha256:1")
		fails(Release{"sha256:1", b.TempDir()}, ask("goal"), "choose another name")
	})
}

// Switches fail on a full disk and if the GPU is occupied, and wait while the server writes a name.
func TestSwitchThatFails(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	b := newBench(t, f.URL)
	one, two := b.release("goal", "sport"), b.release("goal", "politics")
	b.make(one)
	b.switchTo(one, "")
	b.make(two)
	try := func() error {
		_, err := Switch(
			t.Context(),
			SwitchInput{Place: b.place, Want: &two, Former: one.Digest, Keep: 1, Ask: ask("goal")},
			quiet,
		)
		return err
	}

	// The first copy is a test, the second writes the name, and the third restores the former model under the name.
	for fails, want := range map[int]int{1: 1, 2: 3} {
		copies := 0
		f.Break(func(r *http.Request) (int, string) {
			if r.URL.Path == "/api/copy" {
				if copies++; copies == fails {
					return 500, `{"error":"write /models/manifests/x: no space left on device"}`
				}
			}
			return 0, ""
		})
		err := try()
		if !errors.Is(err, ollama.ErrDiskFull) || copies != want || b.answer() != "sport" ||
			strings.Contains(err.Error(), "nothing was changed") != (fails == 1) {
			t.Errorf("disk full at copy %d: %v after %d copies, answer %q", fails, err, copies, b.answer())
		}
	}

	// A name with an incomplete manifest is retried until it is complete.
	faults := 0
	f.Break(func(r *http.Request) (int, string) {
		if r.URL.Path == "/api/chat" {
			if faults++; faults < 3 {
				return 500, `{"error":"EOF"}`
			}
		}
		return 0, ""
	})
	if err := try(); err != nil || faults < 3 {
		t.Errorf("%v after %d faults", err, faults)
	}
	f.Break(nil)
	b.switchTo(one, two.Digest)

	f.OnGPU(func(size int64) int64 { return size / 2 })
	if err := b.c.Unload(t.Context(), b.place.Model); err != nil {
		t.Fatal(err)
	}
	var half *NotOnGPUError
	if err := try(); !errors.As(err, &half) || half.VRAM*2 > half.Size+1 ||
		!strings.Contains(err.Error(), "only 50% of it is on the GPU") {
		t.Errorf("half on the GPU: %v", err)
	}
}

// A server that does not answer one request of each kind, as during a restart, delays a stage, a switch and a removal, but
// does not make them fail.
func TestServerAwayForAMoment(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	b := newBench(t, f.URL)
	one := b.release("goal", "sport")
	seen := map[string]bool{}
	away := func(r *http.Request) (int, string) {
		if key := r.Method + " " + strings.TrimRight(r.URL.Path, "0123456789abcdef"); !seen[key] {
			seen[key] = true
			return http.StatusBadGateway, "Bad Gateway"
		}
		return 0, ""
	}
	f.Break(away)
	b.make(one)
	clear(seen)
	if b.switchTo(one, ""); len(seen) < 3 || b.answer() != "sport" {
		t.Errorf("%v, answer %q", seen, b.answer())
	}
	clear(seen)
	if s, err := Switch(t.Context(), SwitchInput{Place: b.place, Refused: one.Digest}, quiet); err != nil || !s.Changed {
		t.Errorf("%+v, %v", s, err)
	}
}
