package daemon_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// byWords returns a language model that knows the words of the categories, except the unknown ones.
func byWords(unknown ...string) ollamatest.Classifier {
	c := ollamatest.Classifier{Words: map[string][]string{}}
	for category, words := range vocabulary {
		for _, w := range words {
			c.Words[w] = []string{category}
		}
	}
	for _, w := range unknown {
		delete(c.Words, w)
	}
	return c
}

// ollama returns a world whose classifier is a model of an Ollama server.
func ollama(t *testing.T, url string) *world {
	t.Helper()
	w := setup(t)
	w.ollama = url
	w.evaluate = strings.Replace(w.evaluate, "every: 1h", "every: 1s", 1)
	schema := `{"type":"object","properties":{"label":{"type":"string","enum":["geld","sport"]}},"required":["label"]}`
	if err := os.WriteFile(filepath.Join(w.dir, "answer.json"), []byte(schema), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func known(m status.Model) bool { return m.Report != nil && m.Report.State == drift.StateOK }

// A model of an Ollama server is adopted and watched like any service, on the real server too.
func TestOllamaIsWatched(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(t *testing.T) string{
		"fake": func(t *testing.T) string { return ollamatest.NewFake(t).URL },
		"real": func(t *testing.T) string { return ollamatest.Start(t).URL },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ollama(t, url(t))
			byWords().Install(t, w.ollama, "news", "")
			r := w.start()
			m := r.model("the adoption", known)
			if m.Report.Accuracy < .9 || m.Report.FormatErrors != 0 || m.Active != nil {
				t.Errorf("%+v", m.Report)
			}
			w.sql("update items set category = 'geld' where category = 'sport' and id::int % 4 = 0")
			r.model("the fall", func(m status.Model) bool { return m.Report.Drop > 5 })
			w.read(func(t *store.Tx) error { // asked twice, with the same answer
				row, err := t.Model(model)
				if !strings.Contains(row.Serving, `"repeats":{"asked":40,"same":40}`) {
					w.t.Errorf("known of the service: %s", row.Serving)
				}
				return err
			})
		})
	}
}

// An update of the server starts a new baseline: changed answers are no drift, and the model is not foreign.
func TestRuntimeChanges(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	w := ollama(t, f.URL)
	w.when = "{accuracy_drop: {points: 1}}"
	byWords().Install(t, f.URL, "news", "")
	r := w.start()
	before := r.model("the adoption", known)

	f.Upgrade("0.18.0")
	byWords("ball", "tor", "elf", "meter", "strafraum", "abseits").Install(t, f.URL, "news", "")
	m := r.model("a new baseline", func(m status.Model) bool {
		return known(m) && m.Report.Baseline.Why == "runtime changed from ollama 0.17.4 to ollama 0.18.0"
	})
	if m.Release != before.Release || m.Report.Drop != 0 || m.Report.Accuracy >= before.Report.Accuracy || m.Active != nil {
		t.Errorf("before %+v, now %+v", before.Report.Figures, m.Report.Figures)
	}
	if n, body := w.told("model.remeasured"); n != 1 || !strings.Contains(body, "ollama 0.18.0") {
		t.Errorf("%d events: %s", n, body)
	}
	if n, body := w.told("model.foreign"); n != 0 {
		t.Errorf("called foreign: %s", body)
	}
	if d, err := r.Explain(t.Context(), model, "", time.Time{}); err != nil || !strings.Contains(d.Baseline, "0.18.0") {
		t.Errorf("explained: %+v, %v", d, err)
	}
	r.stop()
	r = w.start() // not measured again
	r.model("the same baseline", func(now status.Model) bool { return known(now) && now.Report.Drop == 0 })
	if n, _ := w.told("model.remeasured"); n != 1 {
		t.Errorf("%d events", n)
	}
}

// A model that is no longer on the GPU gives the same answers, only slower: it does not count as another model, but
// this is reported.
func TestLeavesTheGPU(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	w := ollama(t, f.URL)
	byWords().Install(t, f.URL, "news", "")
	r := w.start()
	r.model("the adoption", known)
	verify := func(notice string) {
		t.Helper()
		s, err := r.Verify(t.Context(), model)
		if err != nil || s.State != status.ServedProved || (s.Notice == "") != (notice == "") || !strings.Contains(s.Notice, notice) {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	verify("")
	f.OnGPU(func(size int64) int64 { return size / 2 })
	verify("% of the model is still in GPU memory")
	r.stop()
	r = w.start() // known after a restart, too
	r.model("the notice", func(m status.Model) bool { return m.Served != nil && m.Served.Notice != "" })
	f.OnGPU(func(size int64) int64 { return size })
	verify("")
}

// Unusable answers are the model's errors: they are counted, and the service is healthy.
func TestFormatErrorsAreCounted(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	w := ollama(t, f.URL)
	byWords().Install(t, f.URL, "news", "")
	r := w.start()
	before := r.model("the adoption", known)
	f.Break(func(r *http.Request) (int, string) {
		if r.URL.Path != "/api/chat" {
			return 0, ""
		}
		return 200, `{"message":{"content":"I cannot answer that."},"done":true,"done_reason":"stop"}`
	})
	w.sql(heldOut(t, 1))
	m := r.model("the format error", func(m status.Model) bool { return known(m) && m.Report.FormatErrors == 1 })
	if m.Report.Scored != before.Report.Scored+1 || m.Report.Correct != before.Report.Correct {
		t.Errorf("before %+v, now %+v", before.Report, m.Report)
	}
}

// closedBarrier is a Barrier that a test opens.
type closedBarrier struct{ open atomic.Bool }

func (b *closedBarrier) Barred(string) string {
	if b.open.Load() {
		return ""
	}
	return "the GPU is lent to a run"
}

// While a run uses the GPU no request loads a model into it, and the service is not reported as unreachable.
func TestBarrierKeepsTheModelUnloaded(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	w := ollama(t, f.URL)
	b := &closedBarrier{}
	b.open.Store(true)
	w.barrier = b
	byWords().Install(t, f.URL, "news", "")
	r := w.start()
	r.model("the adoption", known)
	if _, err := r.Verify(t.Context(), model); err != nil {
		t.Fatal(err)
	}
	b.open.Store(false)
	if _, err := r.Verify(t.Context(), model); err != nil { // after this, no request is in progress
		t.Fatal(err)
	}
	asked := f.Asked("/api/chat")
	w.sql(heldOut(t, 1))
	m := r.model("the text that waits", func(m status.Model) bool { return m.Report.State == drift.StateUnscored })
	if f.Asked("/api/chat") != asked || m.Phase == status.Broken || m.Phase == status.Asleep {
		t.Errorf("%d questions, phase %s: %s", f.Asked("/api/chat")-asked, m.Phase, m.Sentence)
	}
	b.open.Store(true)
	if _, err := r.Verify(context.Background(), model); err != nil {
		t.Fatal(err)
	}
	r.model("the answer", known)
}

// A changed prompt starts a new baseline, too.
func TestPromptChanges(t *testing.T) {
	t.Parallel()
	f := ollamatest.NewFake(t)
	w := ollama(t, f.URL)
	byWords().Install(t, f.URL, "news", "")
	r := w.start()
	before := r.model("the adoption", known)
	w.write(strings.Replace(w.config(), "options: {temperature: 0}", "options: {temperature: 0, num_predict: 3}", 1))
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := r.model("a new baseline", func(m status.Model) bool {
		return known(m) && strings.Contains(m.Report.Baseline.Why, "options")
	})
	if m.Release != before.Release || m.Report.FormatErrors != m.Report.Scored || m.Report.Drop != 0 {
		t.Errorf("before %+v, now %+v", before.Report, m.Report)
	}
	if n, body := w.told("model.foreign"); n != 0 {
		t.Errorf("called foreign: %s", body)
	}
}
