//go:build e2e

package status

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// everyPhase is a page with a model in each phase, runs of each outcome, and the long texts that commands write.
func everyPhase() fake {
	f := storied()
	f.snapshot = func(context.Context) (Status, error) {
		s := status()
		s.Models = nil
		for _, phase := range []Phase{Watching, Asleep, Armed, Paused, Running, Held, Foreign, Broken} {
			m := drifted()
			m.Name, m.Phase = "model-"+string(phase), phase
			s.Models = append(s.Models, m)
		}
		foreign := &s.Models[6]
		foreign.Served = &Served{
			State: ServedForeign, Since: ago(time.Hour), Text: "the service answers as 8d3b3f52, the champion is 6c66fc3a",
		}
		foreign.Sentence, foreign.Report.State = foreign.Served.Text, drift.StateForeign
		return s, nil
	}
	first := func(model string) bool { return model == "model-"+string(Watching) }
	f.runs = func(_ context.Context, model string, _ int) ([]Run, error) {
		if first(model) {
			return everyOutcome(), nil
		}
		return nil, nil
	}
	f.history = func(_ context.Context, model string, _ time.Time) ([]Point, error) {
		if first(model) {
			return history(), nil
		}
		return nil, nil
	}
	return f
}

func everyOutcome() []Run {
	list := runs()
	for _, o := range []policy.Outcome{
		policy.OutcomeRolledBack, policy.OutcomeFailed, policy.OutcomeCancelled,
		policy.OutcomeBlocked,
	} {
		r := runs()[1]
		r.ID, r.Outcome = "01KAQ1X7"+strings.ToUpper(string(o)), o
		r.Reason = "step train failed: exit status 1: Traceback (most recent call last):\n" +
			strings.Repeat("  File \"/srv/news/train.py\", line 214, in <module>\n    main()\n", 6) +
			"ValueError: could not convert string to float: 'relevant'; its output: " +
			"/var/lib/retraind/models/relevance/runs/01kb4w8r2m7v2c2p3r5qn3yn38/steps/train/a1/out.log"
		r.Steps[2].State, r.Steps[2].Detail = store.StepFailed, r.Reason
		list = append(list, r)
	}
	return list
}

// The page in a real browser, light and dark, wide and narrow: axe-core finds nothing, nothing is wider than the
// window, and the browser logs no error.
func TestPageInChromium(t *testing.T) {
	t.Parallel()
	axe := readAxe(t)
	c := startChromium(t)
	empty := fake{snapshot: func(context.Context) (Status, error) { s := status(); s.Models = nil; return s, nil }}
	for name, backend := range map[string]fake{"story": storied(), "phases": everyPhase(), "empty": empty} {
		url, refreshed := servePage(t, backend)
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{1280, 375, 320} {
				shot := fmt.Sprintf("%s-%s-%d", name, scheme, width)
				c.open(url, width, scheme)
				<-refreshed // the page itself,
				<-refreshed // and its first refresh
				c.eval(`document.querySelectorAll("details").forEach((d) => { d.open = true; })`, nil)
				c.screenshot(shot)
				c.checkWidth(shot)
				c.checkAxe(shot, axe)
			}
		}
	}
	c.picturesOfPage()
}

// servePage serves the page of a backend. The channel receives a value after each answer.
func servePage(t *testing.T, backend fake) (url string, refreshed <-chan struct{}) {
	t.Helper()
	backend.subscribe = func(ctx context.Context) <-chan Event {
		never := make(chan Event)
		context.AfterFunc(ctx, func() { close(never) })
		return never
	}
	page, answered := newTestPage(t, backend), make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page.ServeHTTP(w, r)
		if r.URL.Path == "/" {
			answered <- struct{}{}
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections() // the page's stream of events never ends
		server.Close()
	})
	return server.URL, answered
}

// picturesOfPage takes the pictures for the documents if RETRAIND_UPDATE is set: the page of a daemon whose configuration
// is in order.
func (c *chromium) picturesOfPage() {
	if os.Getenv("RETRAIND_UPDATE") == "" {
		return
	}
	backend := storied()
	backend.snapshot = func(context.Context) (Status, error) {
		s := status()
		s.Config.Problem, s.Config.RestartNeeded, s.OutboxPending = "", nil, 0
		return s, nil
	}
	url, refreshed := servePage(c.t, backend)
	for scheme, name := range map[string]string{"light": "page.png", "dark": "page-dark.png"} {
		c.open(url, 1280, scheme)
		<-refreshed
		<-refreshed
		c.capture(filepath.Join("..", "docs", "pictures", name), nil)
	}
}

// readAxe returns the source of axe-core, "" if scripts/page.sh could not get it.
func readAxe(t *testing.T) string {
	t.Helper()
	name, ok := os.LookupEnv("RETRAIND_AXE")
	if ok && name == "" {
		t.Log("without axe-core: only the width of the page and the browser's errors are looked at")
		return ""
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("RETRAIND_AXE names no axe-core: run make e2e: %v", err)
	}
	return string(text)
}

// checkWidth reports elements that make the page wider than its window.
func (c *chromium) checkWidth(shot string) {
	c.t.Helper()
	var wide []string
	c.eval(`(() => {
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width) return [];
		return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1)
			.map((e) => e.tagName + "." + e.getAttribute("class") + " ends at " + Math.round(e.getBoundingClientRect().right)
				+ " of " + width);
	})()`, &wide)
	for _, w := range wide[:min(len(wide), 8)] {
		c.t.Errorf("%s scrolls sideways: %s", shot, w)
	}
}

// checkAxe reports the findings of axe-core.
func (c *chromium) checkAxe(shot, axe string) {
	c.t.Helper()
	if axe == "" {
		return
	}
	c.eval(axe+"; 0", nil)
	var found []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	c.eval(`axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) =>
		({ID: v.id, Help: v.help, Nodes: v.nodes.map((n) => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`, &found)
	for _, v := range found {
		for _, n := range v.Nodes[:min(len(v.Nodes), 6)] {
			c.t.Errorf("%s: %s (%s): %s\n%s", shot, v.ID, v.Help, n.HTML, n.FailureSummary)
		}
	}
}
