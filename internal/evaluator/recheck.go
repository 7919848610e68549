package evaluator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// Serving is what is known of what the service really serves, as stored.
type Serving struct {
	Champion string    `json:"champion"`          // digest that this is about; another champion makes it void
	Proved   time.Time `json:"proved"`            // when the service was last seen to answer as the champion
	Sampled  time.Time `json:"sampled,omitzero"`  // when a sample was last asked
	Evidence float64   `json:"evidence"`          // log likelihood ratio that something else answers, at least 0
	Foreign  *Foreign  `json:"foreign,omitempty"` // nil while the champion serves
	Monitor  string    `json:"monitor,omitempty"` // state of the sequential tests at Proved
}

// Foreign says that the service answers as something else than the champion.
type Foreign struct {
	Since time.Time `json:"since"`
	As    string    `json:"as,omitempty"` // digest of what answers, "" when unknown
	Text  string    `json:"text"`
}

const (
	// healthEvery is how often an evaluation that labels have caused asks the service's health.
	healthEvery = 10 * time.Second
	// foreignEvidence is the log likelihood ratio from which the service is foreign. With a sample each hour the champion
	// itself gets there once in 20 years, when it disagrees as often as parity allows (TestEvidenceSeparates).
	foreignEvidence = 10
	// foreignDisagrees is the share of answers in which another model must differ to be found.
	foreignDisagrees = 0.1
	// suspiciousSamples is how many samples are asked one after the other while the evidence is neither way.
	suspiciousSamples = 4
)

// recheck looks whether the service still answers as the champion: by its health each time, and by a sample of texts at
// the configured times, or now when asked for. No run may be active.
func (l *Loop) recheck(ctx context.Context, row store.Model, now time.Time, sample, force bool) error {
	champion := l.monitor.Release().Digest
	if champion == "" {
		l.serving = nil
		return nil
	}
	s, err := l.servingOf(row, champion, now)
	if err != nil {
		return err
	}
	config := l.rules.Model.Serving.WithDefaults()
	sample = !config.Recheck.HealthOnly &&
		(sample || s.Foreign != nil || !now.Before(s.Sampled.Add(config.Recheck.Every.D())))
	if !force && !sample && now.Sub(l.healthAsked) < healthEvery {
		return nil
	}
	l.healthAsked, l.serviceTrouble = now, ""
	health, err := l.health(ctx)
	if err != nil {
		return l.unanswered(ctx, err)
	}
	c, err := actions.ReadChampion(row.Baseline)
	if err != nil {
		return err
	}
	want := champion
	if c.Adopted != nil {
		want = c.Adopted.Health
	}
	if health != "" && want != "" && health != want {
		return l.foreign(ctx, s, health,
			fmt.Sprintf("the service's health names release %s, the champion is %s", text.Digest(health), text.Digest(champion)),
			now)
	}
	named := health != "" && health == want
	if !sample {
		if named && s.Foreign != nil && config.Recheck.HealthOnly {
			return l.recognized(ctx, s, now)
		}
		return nil
	}
	return l.sampled(ctx, s, config.Recheck.Sample, named, now)
}

// servingOf reads what is stored; a champion that a run has just proved begins anew.
func (l *Loop) servingOf(row store.Model, champion string, now time.Time) (*Serving, error) {
	s := &Serving{}
	if row.Serving != "" {
		if err := json.Unmarshal([]byte(row.Serving), s); err != nil {
			return nil, fmt.Errorf("what is known of the service: %w", err)
		}
	}
	if s.Champion != champion {
		s = &Serving{Champion: champion, Proved: now, Sampled: now, Monitor: row.Monitor}
	}
	l.serving = s
	return s, nil
}

// sampled asks samples until they say which way it is, and stores the result.
func (l *Loop) sampled(ctx context.Context, s *Serving, size int, named bool, now time.Time) error {
	pool, err := l.recheckPool(ctx, s.Champion)
	if err != nil || len(pool) == 0 {
		if err == nil && named && s.Foreign != nil {
			return l.recognized(ctx, s, now)
		}
		return err
	}
	s.Sampled = now
	from, agreed := 0, false
	for range suspiciousSamples {
		part := pool[from:min(from+size, len(pool))]
		if len(part) == 0 {
			break
		}
		from += len(part)
		wrong, err := l.askSample(ctx, part)
		if err != nil {
			return l.unanswered(ctx, err)
		}
		agreed = wrong == 0
		if s.Foreign != nil {
			break // a sample that agrees in every text ends it
		}
		s.Evidence = evidence(s.Evidence, len(part), wrong, float64(l.rules.Model.Promote.WithDefaults().Parity))
		if agreed || s.Evidence >= foreignEvidence {
			break
		}
	}
	switch {
	case s.Foreign == nil && s.Evidence >= foreignEvidence:
		as := likeliest(pool[:from])
		detail := fmt.Sprintf("the service answers as %s, the champion is %s",
			cmp.Or(text.Digest(as), "no release that is known"), text.Digest(s.Champion))
		return l.foreign(ctx, s, as, detail, now)
	case agreed && s.Foreign != nil:
		return l.recognized(ctx, s, now)
	case agreed:
		s.Proved, s.Evidence = now, 0
		if s.Monitor, err = l.monitorState(); err != nil {
			return err
		}
		if err := l.endHold(ctx, s); err != nil {
			return err
		}
	}
	return l.saveServing(ctx, s)
}

// evidence adds a sample to the log likelihood ratio of "another model answers, and differs in a tenth of the texts"
// against "the champion answers, and differs as often as parity allows". It never falls below 0, so that a long time in
// which all was well does not hide a change (Page 1954).
func evidence(before float64, asked, wrong int, parity float64) float64 {
	p0 := max(1-parity, 0.001)
	p1 := max(foreignDisagrees, 5*p0)
	if p1 >= 1 {
		return before // a parity this low tells nothing apart
	}
	e := before + float64(wrong)*math.Log(p1/p0) + float64(asked-wrong)*math.Log((1-p1)/(1-p0))
	return max(e, 0)
}

// sampleText is a text of a sample, with what the releases that are known answer to it.
type sampleText struct {
	text  serving.Text
	want  serving.Answers            // the champion's
	other map[string]serving.Answers // other releases', by digest
	got   serving.Answers            // the service's
}

// recheckPool is what samples are drawn from: held-out texts that the champion has answered, half of them those on which
// other releases differ, in an order that changes with time.
func (l *Loop) recheckPool(ctx context.Context, champion string) ([]sampleText, error) {
	var differ, rest []sampleText
	err := l.o.Store.View(ctx, func(t *store.Tx) error {
		mine := map[[2]string]serving.Answers{}
		if err := t.Predictions(l.name, champion,
			func(p store.Prediction) { mine[[2]string{p.Item, p.TextHash}] = p.Answers }); err != nil {
			return err
		}
		others := map[string]map[[2]string]serving.Answers{}
		releases, err := t.Releases(l.name, recheckReleases)
		if err != nil {
			return err
		}
		for _, r := range releases {
			if r.Digest == champion {
				continue
			}
			answers := map[[2]string]serving.Answers{}
			if err := t.Predictions(l.name, r.Digest,
				func(p store.Prediction) { answers[[2]string{p.Item, p.TextHash}] = p.Answers }); err != nil {
				return err
			}
			if len(answers) > 0 {
				others[r.Digest] = answers
			}
		}
		for it, err := range t.HeldOut(l.name) {
			if err != nil {
				return err
			}
			key := [2]string{it.ID, it.TextHash}
			want, ok := mine[key]
			if !ok {
				continue
			}
			x := sampleText{
				text: serving.Text{Item: it.ID, Hash: it.TextHash, Fields: it.Text}, want: want,
				other: map[string]serving.Answers{},
			}
			differs := false
			for digest, answers := range others {
				if a, ok := answers[key]; ok {
					x.other[digest] = a
					differs = differs || !want.Agrees(a)
				}
			}
			if differs {
				differ = append(differ, x)
			} else {
				rest = append(rest, x)
			}
		}
		return nil
	})
	l.rand.Shuffle(len(differ), func(i, j int) { differ[i], differ[j] = differ[j], differ[i] })
	l.rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return interleave(differ, rest), err
}

// recheckReleases is how many of the newest releases a foreign service is compared with.
const recheckReleases = 8

// interleave takes from the two lists in turn.
func interleave(a, b []sampleText) []sampleText {
	out := make([]sampleText, 0, len(a)+len(b))
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			out = append(out, a[i])
		}
		if i < len(b) {
			out = append(out, b[i])
		}
	}
	return out
}

// askSample asks about a part of the pool and counts the answers that are not the champion's.
func (l *Loop) askSample(ctx context.Context, part []sampleText) (wrong int, err error) {
	place := map[string]int{}
	texts := make([]serving.Text, len(part))
	for i, x := range part {
		place[x.text.Item], texts[i] = i, x.text
	}
	err = l.ask(ctx, texts, func(t serving.Text, a serving.Answer) {
		x := &part[place[t.Item]]
		x.got = a.Values
		if !x.want.Agrees(a.Values) {
			wrong++
		}
	})
	return wrong, err
}

// likeliest is the known release whose answers are the service's, "" if none is: it must agree in nine of ten texts, and
// more often than the champion.
func likeliest(asked []sampleText) string {
	known, agreed := map[string]int{}, map[string]int{}
	champion := 0
	for _, x := range asked {
		if x.got == nil {
			continue
		}
		if x.want.Agrees(x.got) {
			champion++
		}
		for digest, answers := range x.other {
			known[digest]++
			if answers.Agrees(x.got) {
				agreed[digest]++
			}
		}
	}
	best := ""
	for _, digest := range slices.Sorted(maps.Keys(known)) {
		if 10*agreed[digest] >= 9*known[digest] && agreed[digest] > max(champion, agreed[best]) {
			best = digest
		}
	}
	return best
}

// foreign records that something else serves: answers got since the last proof are dropped, and the sequential tests go
// back to their state of then. as is the digest of what serves, "" when unknown.
func (l *Loop) foreign(ctx context.Context, s *Serving, as, detail string, now time.Time) error {
	if s.Foreign != nil && s.Foreign.As == as {
		return l.saveServing(ctx, s)
	}
	first := s.Foreign == nil
	since := now
	if !first {
		since = s.Foreign.Since
	}
	s.Foreign = &Foreign{Since: since, As: as, Text: detail}
	l.log.Error("the service answers as something else than the champion", "release", text.Digest(s.Champion), "as",
		text.Digest(as), "detail", detail)
	if first {
		l.monitor = nil
	}
	return l.o.Store.Update(ctx, "foreign", func(t *store.Tx) error {
		if first {
			if err := t.DropPredictionsSince(l.name, s.Champion, s.Proved); err != nil {
				return err
			}
			if err := t.SetModel(l.name, store.Monitor, s.Monitor); err != nil {
				return err
			}
		}
		if err := t.SetModel(l.name, store.Serving, mustJSON(s)); err != nil {
			return err
		}
		return l.notify(t, notify.ModelForeign, "", notify.Foreign{Release: s.Champion, As: as, Text: detail})
	})
}

// recognized records that the champion serves again.
func (l *Loop) recognized(ctx context.Context, s *Serving, now time.Time) error {
	since := s.Foreign.Since
	s.Foreign, s.Evidence, s.Proved = nil, 0, now
	l.log.Info("the service answers as the champion again", "release", text.Digest(s.Champion))
	if err := l.endHold(ctx, s); err != nil {
		return err
	}
	return l.o.Store.Update(ctx, "recognized", func(t *store.Tx) error {
		if err := t.SetModel(l.name, store.Serving, mustJSON(s)); err != nil {
			return err
		}
		return l.notify(t, notify.ModelRecognized, "", notify.Recognized{Release: s.Champion, Since: since})
	})
}

// endHold takes off the hold of a run that could not prove what serves, now that the champion is proved. A person's hold
// stays.
func (l *Loop) endHold(ctx context.Context, s *Serving) error {
	return l.o.Store.Update(ctx, "hold ends", func(t *store.Tx) error {
		row, err := t.Model(l.name)
		if err != nil {
			return err
		}
		held, err := ReadHold(row)
		if err != nil || held == nil || !held.OfRun() {
			return err
		}
		if err := t.SetModel(l.name, store.Hold, ""); err != nil {
			return err
		}
		l.log.Info("the hold is over: the champion was proved to serve", "release", text.Digest(s.Champion), "held_by",
			held.By)
		return l.notify(t, notify.ModelResumed, "", notify.Resumed{By: "proof"})
	})
}

func (l *Loop) saveServing(ctx context.Context, s *Serving) error {
	return l.o.Store.Update(ctx, "serving", func(t *store.Tx) error {
		return t.SetModel(l.name, store.Serving, mustJSON(s))
	})
}

func (l *Loop) monitorState() (string, error) {
	b, err := l.monitor.State()
	return string(b), err
}

// health asks the service which release it serves, and does not wait longer than a few seconds.
func (l *Loop) health(ctx context.Context) (string, error) {
	ctx, stop := context.WithTimeout(ctx, healthPatience)
	defer stop()
	h, err := l.scorer.Health(ctx)
	return h.Release, err
}

const healthPatience = 3 * time.Second

func (l *Loop) runActive(ctx context.Context) (active bool, err error) {
	err = l.o.Store.View(ctx, func(t *store.Tx) error {
		open, err := t.OpenRuns()
		active = slices.ContainsFunc(open, func(r store.Run) bool { return r.Model == l.name })
		return err
	})
	return active, err
}

// unanswered notes that the service could not be asked. It is no error here: where it matters, the scoring says so.
func (l *Loop) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.serviceTrouble = err.Error()
	return nil
}

// asForeign turns a report into that of a model whose service is foreign.
func (s *Serving) asForeign(r *drift.Report) {
	if s == nil || s.Foreign == nil {
		return
	}
	r.State, r.Detail = drift.StateForeign, s.Foreign.Text
}

// showServing copies what is known of the service into the view.
func (l *Loop) showServing() {
	var shown *Serving
	if l.serving != nil {
		shown = &Serving{}
		*shown = *l.serving
	}
	l.setView(func(v *View) { v.Serving, v.ServiceTrouble = shown, l.serviceTrouble })
}
