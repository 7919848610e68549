package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// service is a classifier behind HTTP whose behaviour a test chooses.
type service struct {
	health func() (int, any)
	answer func(title string) (int, any)
}

func (s *service) start(t *testing.T) serving.Config {
	t.Helper()
	write := func(w http.ResponseWriter, status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		status, v := s.health()
		write(w, status, v)
	})
	mux.HandleFunc("POST /classify", func(w http.ResponseWriter, r *http.Request) {
		var text map[string]string
		if err := json.NewDecoder(r.Body).Decode(&text); err != nil {
			write(w, http.StatusBadRequest, err.Error())
			return
		}
		status, v := s.answer(text["title"])
		write(w, status, v)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return serving.Config{
		Classify: server.URL + "/classify", Health: server.URL + "/health",
		Timeout: unit.Duration(5 * time.Second),
	}.WithDefaults()
}

const (
	newDigest = "sha256:1111111111111111"
	oldDigest = "sha256:0000000000000000"
)

func says(v any) func() (int, any) { return func() (int, any) { return 200, v } }
func label(l string) (int, any)    { return 200, map[string]string{"label": l} }
func titled(i int) string          { return fmt.Sprint("text ", i) }
func newAnswer(i int) string       { return fmt.Sprint("new ", i%3) }
func index(t string) (i int)       { _, _ = fmt.Sscanf(t, "text %d", &i); return i }
func as(f func(i int) string) func(string) (int, any) {
	return func(t string) (int, any) { return label(f(index(t))) }
}

// asked returns the probes for n items; on the first differ items the former release answered differently.
func asked(n, differ int) []probe {
	items := make([]heldItem, n)
	want, former := answers{}, answers{}
	for i := range n {
		text := map[string]string{"title": titled(i)}
		items[i] = heldItem{LabelChange: drift.LabelChange{
			Item: fmt.Sprint(i), Heldout: true, TextHash: drift.TextHash(text),
			New: map[string]string{"label": "x"},
		}, Text: text}
		key := [2]string{items[i].Item, items[i].TextHash}
		want[key] = answer{Answers: serving.Answers{"label": newAnswer(i)}}
		former[key] = answer{Answers: serving.Answers{"label": newAnswer(i)}}
		if i < differ {
			former[key] = answer{Answers: serving.Answers{"label": "old"}}
		}
	}
	return probes(items, want, former)
}

func oldAnswer(differ int) func(int) string {
	return func(i int) string {
		if i < differ {
			return "old"
		}
		return newAnswer(i)
	}
}

func TestProofs(t *testing.T) {
	t.Parallel()
	named := func(digest string) func() (int, any) {
		return says(map[string]string{"status": "ok", "release": digest})
	}
	nameless := says(map[string]string{"status": "ok"})
	var every atomic.Int64
	alternating := func(t string) (int, any) { // two processes behind one address
		if every.Add(1)%2 == 0 {
			return label(oldAnswer(200)(index(t)))
		}
		return label(newAnswer(index(t)))
	}
	var few atomic.Int64
	alternatingFew := func(t string) (int, any) {
		if few.Add(1)%2 == 0 {
			return label(oldAnswer(1)(index(t)))
		}
		return label(newAnswer(index(t)))
	}
	var slow atomic.Int64
	smoke := []Smoke{
		{Text: map[string]string{"title": "text 0"}, Expect: "new 0"},
		{Text: map[string]string{"title": "text 1"}, Expect: "sport"},
	}
	for _, c := range []struct {
		name    string
		service service
		probes  []probe
		promote PromoteConfig
		smoke   []Smoke
		want    string // "" if it must succeed
		check   func(VerifyFacts) bool
	}{
		{
			"right",
			service{health: named(newDigest), answer: as(newAnswer)},
			asked(300, 40),
			PromoteConfig{},
			smoke[:1], "",
			func(f VerifyFacts) bool {
				return f.Probed == 300 && f.Agreed == 300 && f.Differ == 40 && f.AsFormer == 0 && f.Smoke == 1 && f.SmokeBad == 0 &&
					f.Tries == 1 && f.Health == newDigest
			},
		},
		{
			"right, and no release in the health answer",
			service{health: nameless, answer: as(newAnswer)},
			asked(50, 10),
			PromoteConfig{},
			nil, "", nil,
		},
		{
			"the old model",
			service{health: nameless, answer: as(oldAnswer(40))},
			asked(300, 40),
			PromoteConfig{},
			smoke,
			"the service has not loaded 111111111111: the two releases answer 40 of the 300 requests differently, and to all of these the service gives the former release's answer; does it read its model only at start?",
			nil,
		},
		{
			"the old model, under the new name",
			service{health: named(newDigest), answer: as(oldAnswer(3))},
			asked(300, 3),
			PromoteConfig{},
			nil,
			"the two releases answer 20 of the 317 requests differently",
			func(f VerifyFacts) bool { return f.Differ == 20 },
		},
		{
			"the old model, by its own name",
			service{health: named(oldDigest), answer: as(oldAnswer(300))},
			asked(300, 300),
			PromoteConfig{},
			nil,
			"the two releases answer 40 of the 40 requests differently",
			func(f VerifyFacts) bool { return f.Probed == 40 },
		},
		{
			"another release",
			service{health: named("sha256:2222222222222222"), answer: as(newAnswer)},
			asked(60, 10),
			PromoteConfig{},
			nil,
			"the service's health answer names release 222222222222, not 111111111111", nil,
		},
		{
			"two processes, one of them old",
			service{health: nameless, answer: alternating},
			asked(400, 200),
			PromoteConfig{},
			nil,
			"answers that should differ are still the former release's: does one of several processes still serve it?",
			nil,
		},
		{
			"two processes, and one text on which they differ",
			service{health: named(newDigest), answer: alternatingFew},
			asked(400, 1),
			PromoteConfig{},
			nil,
			"of 20 answers that should differ are still the former release's", nil,
		},
		{
			"a wrong label map",
			service{health: nameless, answer: as(func(i int) string { return newAnswer(i + 1) })},
			asked(90, 9),
			PromoteConfig{},
			nil,
			`only 0 of 101 answers equal the artifact's offline answers, but at least 99.5% must (promote.parity); most frequent differences: "new `,
			nil,
		},
		{"parity just held", service{health: nameless, answer: as(func(i int) string {
			if i == 399 {
				return "odd"
			}
			return newAnswer(i)
		})}, asked(400, 100), PromoteConfig{Parity: .9975}, nil, "", func(f VerifyFacts) bool { return f.Agreed == 399 }},
		{
			"parity just missed",
			service{health: nameless, answer: as(func(i int) string {
				if i >= 398 {
					return "odd"
				}
				return newAnswer(i)
			})},
			asked(400, 100),
			PromoteConfig{Parity: .9975},
			nil,
			`only 398 of 400 answers equal the artifact's offline answers, but at least 99.75% must (promote.parity); most frequent differences: "odd" instead of "new `,
			nil,
		},
		{
			"a smoke case is wrong",
			service{health: nameless, answer: as(newAnswer)},
			asked(50, 10),
			PromoteConfig{},
			smoke,
			`smoke case 2 is answered "new 1", expected "sport"`,
			func(f VerifyFacts) bool { return f.Smoke == 2 && f.SmokeBad == 1 },
		},
		{
			"too slow",
			service{health: nameless, answer: func(t string) (int, any) {
				if slow.Add(1)%8 == 0 {
					<-time.After(30 * time.Millisecond)
				}
				return label(newAnswer(index(t)))
			}},
			asked(100, 10),
			PromoteConfig{MaxLatency: unit.Duration(20 * time.Millisecond)},
			nil, "the service is too slow: its 95th percentile latency is ",
			func(f VerifyFacts) bool { return f.P95 >= 30 },
		},
		{
			"fast enough",
			service{health: nameless, answer: as(newAnswer)},
			asked(100, 10),
			PromoteConfig{MaxLatency: unit.Duration(5 * time.Second)},
			nil, "", nil,
		},
		{
			"broken",
			service{health: nameless, answer: func(string) (int, any) { return 500, "Traceback" }},
			asked(100, 10),
			PromoteConfig{},
			nil, "500", nil,
		},
		{
			"another field",
			service{health: nameless, answer: func(string) (int, any) { return 200, map[string]string{"kategorie": "x"} }},
			asked(100, 10),
			PromoteConfig{},
			nil,
			`the answer has no field "label" (it has kategorie)`, nil,
		},
		{
			"unwell",
			service{health: func() (int, any) { return 503, map[string]string{"status": "no model"} }, answer: as(newAnswer)},
			asked(100, 10),
			PromoteConfig{},
			nil, "503",
			func(f VerifyFacts) bool { return f.Probed == 0 },
		},
		{
			"nothing to ask about, but a name",
			service{health: named(newDigest), answer: as(newAnswer)},
			nil,
			PromoteConfig{},
			nil, "", nil,
		},
		{
			"nothing to ask about",
			service{health: nameless, answer: as(newAnswer)},
			nil,
			PromoteConfig{},
			smoke[:1],
			"nothing proves what is served", nil,
		},
		{
			"the first release",
			service{health: nameless, answer: as(newAnswer)},
			asked(50, 0),
			PromoteConfig{},
			nil, "",
			func(f VerifyFacts) bool { return f.Probed == 50 && f.Differ == 0 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			promote := c.promote
			promote.VerifyWithin = 1 // one attempt
			scorer := serving.NewScorer(c.service.start(t))
			defer scorer.Close()
			facts, why, err := proof{
				scorer: scorer, gate: "label", promote: promote.WithDefaults(), release: newDigest,
				health: newDigest, probes: c.probes, smoke: c.smoke,
			}.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if (why == "") != (c.want == "") || !strings.Contains(why, c.want) {
				t.Errorf("got  %q\nwant %q\n%+v", why, c.want, facts)
			}
			if c.check != nil && !c.check(facts) {
				t.Errorf("facts %+v", facts)
			}
		})
	}
}

func TestProofWaitsForASlowStart(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	loaded := func() bool { return tries.Load() > 3 }
	s := service{
		health: func() (int, any) {
			if tries.Add(1); tries.Load() < 3 {
				return 503, "starting"
			}
			return 200, map[string]string{"status": "ok"}
		},
		answer: func(t string) (int, any) {
			if !loaded() {
				return label("old")
			}
			return label(newAnswer(index(t)))
		},
	}
	scorer := serving.NewScorer(s.start(t))
	defer scorer.Close()
	facts, why, err := proof{
		scorer: scorer, gate: "label", promote: PromoteConfig{}.WithDefaults(), release: newDigest,
		health: newDigest, probes: asked(30, 30),
	}.run(t.Context())
	if why != "" || err != nil || facts.Tries != 4 || facts.Seconds <= 0 {
		t.Errorf("%q, %v, %+v", why, err, facts)
	}
}

func TestProofGivesUpInTime(t *testing.T) {
	t.Parallel()
	s := service{health: says(map[string]string{"status": "ok"}), answer: as(oldAnswer(10))}
	scorer := serving.NewScorer(s.start(t))
	defer scorer.Close()
	start := time.Now()
	facts, why, err := proof{
		scorer: scorer, gate: "label",
		promote: PromoteConfig{VerifyWithin: unit.Duration(3 * time.Second)}.WithDefaults(), release: newDigest,
		health: newDigest, probes: asked(30, 10),
	}.run(t.Context())
	if why == "" || err != nil || facts.Tries < 2 { // on a busy machine one attempt takes half a second
		t.Errorf("%q, %v, %+v", why, err, facts)
	}
	if took := time.Since(start); took > waittest.Patience {
		t.Errorf("it took %v", took)
	}
}

// The last attempt is at the end of the time, not up to five seconds earlier.
func TestPause(t *testing.T) {
	t.Parallel()
	for _, within := range []time.Duration{1, time.Second, 3 * time.Second, 2 * time.Minute} {
		passed, longest, tries := time.Duration(0), time.Duration(0), 1
		for ; ; tries++ {
			wait := pause(tries, within-passed)
			if wait <= 0 {
				break
			}
			passed, longest = passed+wait, max(longest, wait)
		}
		if passed != within || longest > 5*time.Second || tries > 35 {
			t.Errorf("%v: the last of %d tries after %v, the longest pause %v", within, tries, passed, longest)
		}
	}
	if first := pause(1, time.Hour); first != 50*time.Millisecond {
		t.Errorf("the first pause is %v", first)
	}
}

func TestProofOfAServiceThatIsAway(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close() // nothing listens there any more
	scorer := serving.NewScorer(serving.Config{Classify: url, Health: url}.WithDefaults())
	defer scorer.Close()
	p := proof{
		scorer: scorer, gate: "label", promote: PromoteConfig{VerifyWithin: 1}.WithDefaults(), release: newDigest,
		health: newDigest, probes: asked(3, 1),
	}
	if _, why, err := p.run(t.Context()); !strings.Contains(why, "nothing listens at ") || err != nil {
		t.Errorf("%q, %v", why, err)
	}
	stopping := errors.New("stopping")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(stopping)
	if _, _, err := p.run(ctx); !errors.Is(err, stopping) {
		t.Errorf("a stopping daemon: %v", err)
	}
}

func TestProbes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ n, differ, want, wantDiffer int }{
		{0, 0, 0, 0},
		{10, 0, 10, 0},
		{10, 10, 20, 20}, // each twice
		{50, 1, 69, 20},
		{50, 19, 51, 20},
		{50, 20, 50, 20},
		{1000, 30, 400, 30},
		{1000, 900, 400, 400},
		{1000, 3, 417, 20},
	} {
		got := asked(c.n, c.differ)
		differ := 0
		for _, p := range got {
			if p.differs() {
				differ++
			}
		}
		if len(got) != c.want || differ != c.wantDiffer {
			t.Errorf("%d items, %d differ: %d probes, %d differ; want %d, %d", c.n, c.differ, len(got), differ, c.want,
				c.wantDiffer)
		}
	}
	// The rest is a sample by hash, always the same.
	a, b := asked(1000, 30), asked(1000, 30)
	if !slices.EqualFunc(a, b, func(a, b probe) bool { return a.text.Hash == b.text.Hash }) {
		t.Error("the sample changes")
	}
	// Items without an answer of the wanted release are no probes.
	items := []heldItem{{LabelChange: drift.LabelChange{Item: "1", TextHash: "h"}}}
	if got := probes(items, answers{}, nil); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

// An expected answer may be written like a label: it is compared in canonical form.
func TestSmokeInCanonicalForm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target serving.Target
		answer any
		expect string
	}{
		{serving.Target{Normalize: "case"}, "sport", "Sport"},
		{serving.Target{Kind: serving.KindBool}, true, "yes"},
		{serving.Target{Kind: serving.KindSet}, []string{"a", "b"}, `["b", "a"]`},
	} {
		s := service{
			health: says(map[string]string{"release": newDigest}),
			answer: func(string) (int, any) { return 200, map[string]any{"label": c.answer} },
		}
		config := s.start(t)
		c.target.Name = "label"
		config.Targets = map[string]serving.Target{"label": c.target}
		p := Plan{Serving: config, Promote: PromoteConfig{VerifyWithin: 1}.WithDefaults()}
		smoke := []Smoke{{Text: map[string]string{"title": "x"}, Expect: c.expect}}
		q := question{release: newDigest, health: newDigest, smoke: smoke}
		if out, err := (&Executor{}).prove(t.Context(), p, q); err != nil || out.Class != store.StepOK {
			t.Errorf("%s: %s: %s, %v", c.expect, out.Class, out.Detail, err)
		}
	}
}

// The default timeout of the step does not end a verification before verify_within is over.
func TestVerifyTimeout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ configured, within, want time.Duration }{
		{0, 2 * time.Minute, 10 * time.Minute},
		{0, 20 * time.Minute, 25 * time.Minute},
		{time.Minute, 20 * time.Minute, time.Minute},
	} {
		verify := StepConfig{&VerifyStep{Do: DoVerify, StepCommon: StepCommon{Timeout: unit.Duration(c.configured)}}}
		p := Plan{Promote: PromoteConfig{VerifyWithin: unit.Duration(c.within)}}
		if got := p.verifyTimeout(Resolve([]StepConfig{verify}, nil, "")[0]); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
