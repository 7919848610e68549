package status

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
)

// scrape returns the lines of our own metrics, without the comments.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var own strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "retraind_") && !strings.HasPrefix(line, "retraind_build_info") {
			own.WriteString(line)
		}
	}
	return own.String()
}

func TestMetricsGolden(t *testing.T) {
	t.Parallel()
	m := NewMetrics(storied(), "0.1.0")
	m.Decided("relevance", "hold", "cooldown")
	m.Decided("relevance", "hold", "cooldown")
	m.RunEnded("relevance", "promoted", 38*time.Minute)
	m.StepEnded("relevance", "train", 37*time.Minute)
	golden(t, "metrics.txt", []byte(scrape(t, m)))
}

// A model without a measurement has no accuracy: 0 would trigger every alert.
func TestMetricsLeaveOutWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	unmeasured := report()
	unmeasured.Scored, unmeasured.State = 0, "unscored"
	backend := fake{snapshot: func(context.Context) (Status, error) {
		return Status{Models: []Model{
			{Name: "a"},
			{Name: "b", Report: unmeasured, Window: Window{Open: true, Changes: now}},
		}}, nil
	}}
	got := scrape(t, NewMetrics(backend, ""))
	for _, absent := range []string{"retraind_accuracy", "retraind_next_window", "retraind_source"} {
		if strings.Contains(got, absent) {
			t.Errorf("%s is exported although it is unknown:\n%s", absent, got)
		}
	}
	if !strings.Contains(got, `retraind_report_ok{model="b",state="unscored"} 0`) {
		t.Errorf("the state is missing:\n%s", got)
	}
}

func TestMetricsFailWhole(t *testing.T) {
	t.Parallel()
	backend := fake{snapshot: func(context.Context) (Status, error) { return Status{}, errors.New("disk full") }}
	w := httptest.NewRecorder()
	NewMetrics(backend, "").Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "disk full") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// Two daemons in one process share no metrics.
func TestMetricsAreNotShared(t *testing.T) {
	t.Parallel()
	a, b := NewMetrics(storied(), "1"), NewMetrics(storied(), "2")
	a.Decided("relevance", "hold", "budget")
	if strings.Contains(scrape(t, b), "retraind_decisions_total") {
		t.Error("a count of one daemon appears in the other")
	}
}

func TestMetricsOfAProbation(t *testing.T) {
	t.Parallel()
	trial := &Probation{OnProbation: drift.OnProbation{E: 1.5, Bound: 20}}
	backend := fake{snapshot: func(context.Context) (Status, error) {
		return Status{Models: []Model{{Name: "a"}, {Name: "b", Probation: trial}}}, nil
	}}
	got := scrape(t, NewMetrics(backend, ""))
	for line, want := range map[string]bool{
		`retraind_probation_e_value{model="b"} 1.5`: true, `retraind_probation_bound{model="b"} 20`: true,
		`retraind_probation_bound{model="a"}`: false,
	} {
		if strings.Contains(got, line) != want {
			t.Errorf("%s: %t, want %t\n%s", line, !want, want, got)
		}
	}
}
