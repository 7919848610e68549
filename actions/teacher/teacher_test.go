package teacher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

func TestMain(m *testing.M) { os.Exit(ollamatest.Main(m)) }

const schema = `{"type":"object","properties":{"label":{"type":"string","enum":["politics","sport"]}},"required":["label"]}`

// desk is the input of the step, with a directory for its files.
type desk struct {
	*testing.T
	dir string
	in  Input
	run int
}

func newDesk(t *testing.T, url string) *desk {
	t.Helper()
	teacher := ollamatest.Classifier{Words: map[string][]string{"goal": {"sport"}, "vote": {"politics"}}, Else: []string{"politics"}}
	name := ollamatest.Name(t)
	teacher.Install(t, url, name, "")
	dir := t.TempDir()
	c := serving.Config{
		Ollama:  &serving.OllamaConfig{Model: name, URL: url, Format: json.RawMessage(schema), Foreign: true, System: "Label texts."},
		Targets: map[string]serving.Target{"label": {}}, Concurrency: 2,
	}
	return &desk{t, dir, Input{
		Serving: c.WithDefaults(), Items: filepath.Join(dir, "items.jsonl"), Books: filepath.Join(dir, "books"),
		Overlay: filepath.Join(dir, "overlay.jsonl"), Measure: 100, Patience: waittest.Patience,
	}, 0}
}

func (d *desk) items(items ...Item) {
	d.Helper()
	var b strings.Builder
	for _, it := range items {
		text, err := json.Marshal(it)
		if err != nil {
			d.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", text)
	}
	if err := os.WriteFile(d.in.Items, []byte(b.String()), 0o600); err != nil {
		d.Fatal(err)
	}
}

func item(id int, text string) Item {
	return Item{ID: fmt.Sprint(id), Hash: fmt.Sprint("h", id), Text: map[string]string{"text": text}}
}

func (it Item) by(label string) Item {
	it.Labels = map[string]string{"label": label}
	return it
}

func (it Item) held() Item {
	it.Heldout = true
	return it
}

func (d *desk) work(ctx context.Context) (job.Result, Facts, error) {
	d.Helper()
	d.run++
	dir := filepath.Join(d.dir, fmt.Sprint("a", d.run))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.Fatal(err)
	}
	r, err := Work(ctx, job.Job{Dir: dir, Input: job.Encode(d.in)})
	var f Facts
	if r.Data != nil && json.Unmarshal(r.Data, &f) != nil {
		d.Fatal(string(r.Data))
	}
	return r, f, err
}

func (d *desk) overlay() map[[2]string]Over {
	d.Helper()
	o, err := ReadOverlay(d.in.Overlay)
	if err != nil {
		d.Fatal(err)
	}
	return o
}

func TestLabel(t *testing.T) {
	t.Parallel()
	ollamatest.Each(t, func(t *testing.T, url string) {
		d := newDesk(t, url)
		d.items(item(1, "the goal"), item(2, "a vote"), item(3, "a goal, says the council").by("politics"),
			item(4, "goal").by("sport").held(), item(5, "vote").by("politics").held(), item(6, "goal").by("politics").held(),
			item(7, "goal").held())
		r, f, err := d.work(t.Context())
		if err != nil || r.Class != store.StepOK || f.Items != 3 || f.Labelled != 3 || f.Kept != 0 || f.Unusable != 0 {
			t.Fatalf("%+v %+v %v", r, f, err)
		}
		if a := f.Agreement; a == nil || a.N != 3 || a.Agreed != 2 || !strings.Contains(r.Detail, "as people did on 66.7% of 3 held-out items") {
			t.Errorf("%+v, %s", f.Agreement, r.Detail)
		}
		o := d.overlay()
		if len(o) != 3 || o[[2]string{"1", "h1"}].Labels["label"] != "sport" || o[[2]string{"2", "h2"}].Labels["label"] != "politics" {
			t.Errorf("%+v", o)
		}
		if mine := o[[2]string{"3", "h3"}]; len(mine.Labels) != 0 || string(mine.Answer) != `{"label":"politics"}` {
			t.Errorf("a person's label does not win: %+v %s", mine, mine.Answer)
		}
		if _, f, err = d.work(t.Context()); err != nil || f.Kept != 3 || f.Labelled != 3 {
			t.Errorf("again: %+v, %v", f, err)
		}

		d.in.MinAgreement = 0.8
		if r, _, err := d.work(t.Context()); err != nil || r.Class != store.StepRejected || !strings.Contains(r.Detail, "min_agreement is 80%") {
			t.Errorf("%+v, %v", r, err)
		}
		d.items(item(1, "the goal"))
		if r, _, err := d.work(t.Context()); err != nil || r.Class != store.StepFailed || !strings.Contains(r.Detail, "cannot be checked") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// 1,000 items are labelled in two nights, and the step is killed three times in the first one. No answer is lost, and
// only the requests that were in progress are repeated.
func TestTwoNights(t *testing.T) {
	t.Parallel()
	fake := ollamatest.NewFake(t)
	d := newDesk(t, fake.URL)
	var items []Item
	for i := range 1000 {
		items = append(items, item(i, []string{"goal", "vote"}[i%2]))
	}
	d.items(items...)
	asked := func() int { return fake.Asked("/api/chat") }
	lines := func() int {
		files, err := filepath.Glob(filepath.Join(d.in.Books, "*.jsonl"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), "\n")
	}
	// First night: each of three attempts is killed after some requests.
	for _, after := range []int{100, 150, 250} {
		ctx, kill := context.WithCancelCause(t.Context())
		var n atomic.Int64
		fake.Break(func(r *http.Request) (int, string) {
			if r.URL.Path == "/api/chat" && n.Add(1) > int64(after) {
				kill(errors.New("killed"))
			}
			return 0, ""
		})
		if _, _, err := d.work(ctx); err == nil {
			t.Fatal("it was not killed")
		}
		kill(nil)
	}
	// A kill during a write leaves an incomplete line.
	files, _ := filepath.Glob(filepath.Join(d.in.Books, "*.jsonl"))
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(f, `{"item":"999","text_ha`)
	f.Close()
	kept := lines()
	// The budget of the first night is spent; the next attempt labels the rest.
	fake.Break(nil)
	d.in.Budget = time.Nanosecond
	r, _, err := d.work(t.Context())
	if err != nil || r.Class != store.StepBlocked || r.Why != policy.ReasonBudget || !strings.Contains(r.Detail, "the step continues the next night") {
		t.Fatalf("%+v, %v", r, err)
	}
	d.in.Budget = 0
	r, facts, err := d.work(t.Context())
	if err != nil || facts.Labelled != 1000 || facts.Kept != kept || len(d.overlay()) != 1000 {
		t.Fatalf("%+v %+v %v", r, facts, err)
	}
	if most := 1000 + 3*d.in.Serving.Concurrency; asked() > most || lines() != 1000 {
		t.Errorf("%d requests and %d lines for 1000 items", asked(), lines())
	}
}

// The model's answer may be empty, not JSON, invalid by the schema, of an invented category, or missing.
func TestBadTeacher(t *testing.T) {
	t.Parallel()
	fake := ollamatest.NewFake(t)
	d := newDesk(t, fake.URL)
	d.in.Serving.Ollama.Format = nil
	say := map[string]string{
		"one": "", "two": "It is sport.", "three": `{"label":"weather"}`, "four": `{"label":"sport","why":"a goal"}`,
		"five": `{"label":12345678901234567890}`, "six": `{"label":"sport"`,
	}
	fake.Break(func(r *http.Request) (int, string) {
		if r.URL.Path != "/api/chat" {
			return 0, ""
		}
		body, _ := io.ReadAll(r.Body)
		for word, answer := range say {
			if strings.Contains(string(body), word) {
				b, _ := json.Marshal(answer)
				return 200, `{"done":true,"done_reason":"stop","message":{"content":` + string(b) + `}}`
			}
		}
		return 500, `{"error":"the runner died"}`
	})
	long := strings.Repeat("goal ", 2<<20)
	d.items(item(1, "one"), item(2, "two"), item(3, "three"), item(4, "four"), item(5, "five"), item(6, "six"), item(7, "seven"),
		item(8, "four "+long), item(9, "goal").by("sport"), item(10, "vote").by("politics"))
	r, f, err := d.work(t.Context())
	if err != nil || r.Class != store.StepOK || f.Labelled != 2 || f.Unusable != 8 || len(d.overlay()) != 2 {
		t.Fatalf("%+v %+v %v", r, f, err)
	}
	if o := d.overlay()[[2]string{"4", "h4"}]; string(o.Answer) != `{"label":"sport","why":"a goal"}` {
		t.Errorf("%s", o.Answer)
	}

	fake.Break(func(r *http.Request) (int, string) {
		if r.URL.Path == "/api/chat" {
			return 503, `{"error":"server busy"}`
		}
		return 0, ""
	})
	d.in.Patience = 300 * time.Millisecond
	d.items(item(4, "four"), item(20, "twenty"))
	if _, _, err := d.work(t.Context()); err == nil || !strings.Contains(err.Error(), "has answered nothing for") ||
		!strings.Contains(err.Error(), "the answers to 1 text are kept") {
		t.Error(err)
	}
	d.in.Serving.Ollama.Model = "nosuch"
	if _, _, err := d.work(t.Context()); err == nil || !strings.Contains(err.Error(), "fetch it with ollama pull nosuch") {
		t.Error(err)
	}
}

func TestAgree(t *testing.T) {
	t.Parallel()
	pairs := [][2]string{}
	add := func(people, model string, n int) {
		for range n {
			pairs = append(pairs, [2]string{people, model})
		}
	}
	add("a", "a", 20)
	add("a", "b", 5)
	add("b", "a", 10)
	add("b", "b", 15)
	got := Agree("label", pairs)
	if got.N != 50 || got.Agreed != 35 || got.Share != 0.7 || fmt.Sprintf("%.4f", got.Kappa) != "0.4000" {
		t.Errorf("%+v", got)
	}
	if c := got.Categories[0]; c.Name != "a" || c.Recall != 0.8 || fmt.Sprintf("%.4f %.3f %.3f", c.Kappa, c.Low, c.High) != "0.4000 0.609 0.911" {
		t.Errorf("%+v", c)
	}
	if one := Agree("label", [][2]string{{"a", "a"}}); one.Kappa != 0 || one.Share != 1 {
		t.Errorf("%+v", one)
	}
}
