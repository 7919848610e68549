package evaluator

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/retraind/retraind/serving"
)

// barrier bars every request to a classifier, for the reason that it contains.
type barrier string

func (b barrier) Barred(string) string { return string(b) }

// A person's request to adopt sends no text to a classifier that another model's run has stopped or unloaded: the
// request would load the model into the memory that the run has freed.
func TestNothingIsAdoptedWhileBarred(t *testing.T) {
	t.Parallel()
	l, _ := decider(t)
	var asked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	t.Cleanup(server.Close)
	c := l.rules.Model.Serving
	c.Health, c.Classify = server.URL, server.URL
	l.o.Beat, l.o.Barrier, l.scorer = func() {}, barrier("run x has unloaded it"), serving.NewScorer(c)
	t.Cleanup(func() { l.scorer.Close() })
	r := l.carryOut(t.Context(), &order{do: orderAdopt, by: "anna"})
	var refused *RefusedError
	if !errors.As(r.err, &refused) || !strings.Contains(refused.Why, "run x has unloaded it") || asked.Load() {
		t.Errorf("%v, asked: %t", r.err, asked.Load())
	}
}
