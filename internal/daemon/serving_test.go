package daemon_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// byHand returns a service that retraind did not deploy. Its health names no release.
func byHand(answer func(content string) string) *http.HandlerFunc {
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/health" {
			_, _ = io.WriteString(rw, `{"status": "ok"}`)
			return
		}
		var text struct{ Content string }
		if err := json.NewDecoder(r.Body).Decode(&text); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(rw).Encode(map[string]string{"label": answer(text.Content)})
	})
	return &h
}

// knows returns the category of a text, except for about every tenth text: for these it returns the other category.
func knows(content string) string {
	category, other := "geld", "sport"
	for _, word := range vocabulary["sport"] {
		if strings.Contains(content, word) {
			category, other = "sport", "geld"
		}
	}
	if strings.HasSuffix(content, "7") {
		return other
	}
	return category
}

// A service from before retraind is adopted at once: nothing is trained, its accuracy is shown and watched, and a
// failed deployment rolls back to it.
func TestWhatServesIsAdopted(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.service.other.Store(byHand(knows))
	r := w.start()
	m := r.model("the adoption", func(m status.Model) bool { return m.Report != nil && m.Report.State == drift.StateOK })
	if !actions.IsAdopted(m.Release) || m.Report.Release != m.Release || m.Active != nil || m.Last != nil ||
		m.Caveat == "" {
		t.Errorf("%+v", m)
	}
	if m.Report.Accuracy < .8 || m.Report.Accuracy == 1 || m.Report.Baseline == nil ||
		m.Report.Baseline.N != m.Report.Scored {
		t.Errorf("%+v", m.Report.Figures)
	}
	if n, body := w.told("model.adopted"); n != 1 || !strings.Contains(body, m.Release) {
		t.Errorf("%d events: %s", n, body)
	}
	waittest.EventuallyHolds(t, "the events about the first read", func() (bool, error) {
		received := w.received()
		return received == items, fmt.Errorf("%d of %d label changes", received, items)
	})
	// Labels that differ from the service's answers lower the accuracy.
	w.sql("update items set category = 'geld' where category = 'sport' and id::int % 4 = 0")
	r.model("the fall", func(m status.Model) bool { return m.Report.Drop > 5 })
	w.sql("update items set category = 'sport' where id::int % 4 = 0")
	r.model("the rise", func(m status.Model) bool { return m.Report.Drop == 0 })

	// A first run whose deployment fails: it is rolled back, and the adopted release is verified.
	r.force <- struct{}{}
	run := r.ended(1)[0]
	if run.Outcome != policy.OutcomeRolledBack || !strings.Contains(run.Reason, "serv") {
		t.Errorf("%+v", run)
	}
	m = r.model("the end of the run", func(now status.Model) bool { return now.Active == nil && now.Release == m.Release })
	if m.Held != nil || m.Phase == status.Foreign {
		t.Errorf("%s: %s", m.Phase, m.Sentence)
	}
	if _, err := os.Lstat(filepath.Join(w.state, "models", model, "current")); !os.IsNotExist(err) {
		t.Errorf("there was no link before the run: %v", err)
	}
	// A run that succeeds.
	w.service.other.Store(nil)
	r.force <- struct{}{}
	if run := r.ended(2)[0]; run.Outcome != policy.OutcomePromoted {
		t.Errorf("%+v", run)
	}
	// A restart does not adopt again.
	r.stop()
	r = w.start()
	r.model("the promoted release", func(m status.Model) bool {
		return m.Report != nil && m.Report.State == drift.StateOK && !actions.IsAdopted(m.Release)
	})
	if n, _ := w.told("model.adopted"); n != 1 {
		t.Errorf("%d adoptions", n)
	}
}

// An adopted service whose health has its own name for the release is accepted: new texts are scored.
func TestAdoptedByItsOwnName(t *testing.T) {
	t.Parallel()
	w := setup(t)
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			_, _ = io.WriteString(rw, `{"release": "v7"}`)
			return
		}
		_, _ = io.WriteString(rw, `{"label": "sport", "release": "v7"}`)
	})
	w.service.other.Store(&h)
	r := w.start()
	adopted := func(m status.Model) bool { return m.Report != nil && m.Report.State == drift.StateOK }
	before := r.model("the adoption", adopted)
	w.sql(heldOut(t, 1))
	r.model("the answer to a new text", func(m status.Model) bool {
		return adopted(m) && m.Report.Scored == before.Report.Scored+1
	})
	if s, err := r.Verify(t.Context(), model); err != nil || s.State != status.ServedProved {
		t.Errorf("%+v, %v", s, err)
	}
}

// The training items of the adopted release are excluded, if its training file is configured.
func TestAdoptedTrainedOn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var b strings.Builder
	for n := range items / 2 {
		fmt.Fprintf(&b, "{\"id\": \"%d\"}\n", n)
	}
	file := filepath.Join(w.dir, "train.jsonl")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.serving = fmt.Sprintf(", adopt: {trained_on: %q}", file)
	w.service.other.Store(byHand(knows))
	r := w.start()
	m := r.model("the adoption", func(m status.Model) bool { return m.Report != nil && m.Report.State == drift.StateOK })
	if m.Report.Leaked == 0 || m.Caveat != "" {
		t.Errorf("%d of %d items leaked, caveat %q", m.Report.Leaked, m.Report.HeldOut, m.Caveat)
	}
}

// A service with unusable answers is not adopted, and no run starts. If adopt is off, it is ignored and a first release
// is trained.
func TestNotAdopted(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.service.other.Store(answer(200, `{"prediction": "sport"}`))
	r := w.start()
	m := r.model("the fault", func(m status.Model) bool { return m.Report != nil && m.Report.State == drift.StateError })
	if m.Release != "" || m.Active != nil || !strings.Contains(m.Report.Detail, "adopt: {off: true}") {
		t.Errorf("%+v", m)
	}
	r.stop()
	w.service.other.Store(nil)
	w.serving = ", adopt: {off: true}"
	r = w.start()
	r.first()
}

// Another model that is put into service is detected by its answers. Until the champion serves again, no run starts and
// nothing is counted.
func TestForeign(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.serving = ", recheck: {every: 1h}"
	r := w.start()
	r.first()
	before := r.model("the first release", func(m status.Model) bool {
		return m.Active == nil && m.Served != nil && m.Served.State == status.ServedProved
	})
	if s, err := r.Verify(t.Context(), model); err != nil || s.State != status.ServedProved {
		t.Fatalf("%+v, %v", s, err)
	}

	// One wrong answer raises no alarm.
	real := classifier.NewServer(classifier.ServerOptions{Dir: filepath.Join(w.state, "models", model, "current")})
	var flaky atomic.Bool
	h := http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/classify" && flaky.CompareAndSwap(false, true) {
			_, _ = io.WriteString(rw, `{"label": "wetter"}`)
			return
		}
		_ = real.Reload()
		real.ServeHTTP(rw, q)
	})
	w.service.other.Store(&h)
	if s, err := r.Verify(t.Context(), model); err != nil || s.State != status.ServedProved || !flaky.Load() {
		t.Fatalf("%+v, %v", s, err)
	}

	w.service.other.Store(byHand(func(string) string { return "geld" }))
	s, err := r.Verify(t.Context(), model)
	if err != nil || s.State != status.ServedForeign ||
		!strings.Contains(s.Text, "the champion is "+strings.TrimPrefix(before.Release, "sha256:")[:12]) {
		t.Fatalf("%+v, %v", s, err)
	}
	m := r.model("the foreign service", func(m status.Model) bool { return m.Phase == status.Foreign })
	if m.Sentence != s.Text || m.Report.State != drift.StateForeign {
		t.Errorf("%s, %s", m.Sentence, m.Report.State)
	}
	w.sql(heldOut(t, 1)) // its answer would count for the champion
	m = r.model("the new text", func(m status.Model) bool { return m.Report.Seq > before.Report.Seq })
	if m.Report.State != drift.StateForeign || m.Report.Scored != before.Report.Scored {
		t.Errorf("%s, %d scored, %d before", m.Report.State, m.Report.Scored, before.Report.Scored)
	}
	r.force <- struct{}{}
	r.decides("the forced retrain to wait", func(d policy.Decision) bool {
		return d.Forced && len(d.Blocked) > 0 && d.Blocked[0].Reason == policy.ReasonForeign
	})

	w.service.other.Store(nil)
	if s, err := r.Verify(t.Context(), model); err != nil || s.State != status.ServedProved {
		t.Fatalf("%+v, %v", s, err)
	}
	if run := r.ended(2)[0]; run.Outcome != policy.OutcomePromoted && run.Outcome != policy.OutcomeRejected {
		t.Errorf("the requested run: %+v", run)
	}
	for kind, want := range map[string]int{"model.foreign": 1, "model.recognized": 1} {
		if n, _ := w.told(kind); n != want {
			t.Errorf("%d events %s", n, kind)
		}
	}
}

// If another model was put into service, a person can redeploy the champion or adopt that model.
func TestForeignIsSettled(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.start()
	r.first()
	champion := r.model("the first release",
		func(m status.Model) bool { return m.Active == nil && m.Release != "" }).Release
	link := filepath.Join(w.state, "models", model, "current")
	elsewhere := filepath.Join(w.dir, "elsewhere")
	if err := os.CopyFS(elsewhere, os.DirFS(link)); err != nil {
		t.Fatal(err)
	}
	if _, err := classifier.TrainDir(wrongData(t), elsewhere, classifier.Options{Epochs: 1}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	if s, err := r.Verify(t.Context(), model); err != nil || s.State != status.ServedForeign {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := r.Redeploy(t.Context(), model, ""); err != nil {
		t.Fatal(err)
	}
	if run := r.ended(2)[0]; run.Outcome != policy.OutcomePromoted || run.Pipeline != "redeploy" {
		t.Errorf("%+v", run)
	}
	m := r.model("the champion", func(m status.Model) bool { return m.Active == nil && m.Phase != status.Foreign })
	if m.Release != champion {
		t.Errorf("release %s, the champion was %s", m.Release, champion)
	}
	w.service.other.Store(byHand(func(content string) string {
		if strings.ContainsAny(content[len(content)-1:], "3690") {
			return "geld"
		}
		return knows(content)
	}))
	if s, err := r.Verify(t.Context(), model); err != nil || s.State != status.ServedForeign {
		t.Fatalf("%+v, %v", s, err)
	}
	if done, err := r.Adopt(t.Context(), model, ""); err != nil || !strings.Contains(done.Text, "adopted:") {
		t.Fatalf("%+v, %v", done, err)
	}
	m = r.model("the adopted release",
		func(m status.Model) bool { return actions.IsAdopted(m.Release) && m.Report.State == drift.StateOK })
	if m.Phase == status.Foreign {
		t.Errorf("%s", m.Sentence)
	}
	w.read(func(tx *store.Tx) error {
		old, err := tx.Release(model, champion)
		if err == nil && old.State != store.ReleaseRetired {
			t.Errorf("the former champion is %s", old.State)
		}
		return err
	})
}

// wrongData returns a directory with training data in which each text has the other category.
func wrongData(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	for n := range 40 {
		words, category := "sport", "geld"
		if n%2 == 0 {
			words, category = category, words
		}
		fmt.Fprintf(&b, "{\"id\": \"%d\", \"text\": {\"content\": %q}, \"labels\": {\"label\": %q}}\n", n, text(words, n),
			category)
	}
	for _, name := range []string{"train.jsonl", "test.jsonl", "validation.jsonl"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
