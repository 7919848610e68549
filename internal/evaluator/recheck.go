package evaluator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// Serving is what is known of what the service really serves, as stored.
type Serving struct {
	Named    string    `json:"named,omitempty"`   // digest by which the service names the champion; "" where it names none
	Champion string    `json:"champion"`          // digest that this is about; another champion makes it void
	Proved   time.Time `json:"proved"`            // when the service was last seen to answer as the champion
	Sampled  time.Time `json:"sampled,omitzero"`  // when a sample was last asked
	Evidence float64   `json:"evidence"`          // log likelihood ratio that something else answers, at least 0
	Foreign  *Foreign  `json:"foreign,omitempty"` // nil while the champion serves
	Monitor  string    `json:"monitor,omitempty"` // state of the sequential tests at Proved
	// Repeats is how often a language model gives the same answer twice; nil before it was measured, and for others.
	Repeats *actions.Repeats `json:"repeats,omitempty"`
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
	if l.barred() {
		return nil
	}
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
	release := health.Release
	if release != "" && s.Named != "" && release != s.Named {
		return l.foreign(ctx, s, release,
			fmt.Sprintf("the service's health names release %s, the champion is %s", text.Digest(release), text.Digest(champion)),
			now)
	}
	named := release != "" && release == s.Named
	if s.Foreign == nil {
		if done, err := l.sameRuntime(ctx, row, champion, health.Runtime); err != nil || done {
			return err
		}
		if err := l.measureRepeats(ctx, s); err != nil || l.serviceTrouble != "" {
			return err
		}
	}
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
	c, err := actions.ReadChampion(row.Baseline)
	if err != nil {
		return nil, err
	}
	s.Named = champion
	if c.Adopted != nil {
		s.Named = c.Adopted.Health
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
		s.Evidence = evidence(s.Evidence, len(part), wrong, l.parity())
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

func (l *Loop) monitorState() (string, error) {
	b, err := l.monitor.State()
	return string(b), err
}

// health asks the service which release it serves, and does not wait longer than a few seconds.
func (l *Loop) health(ctx context.Context) (serving.HealthInfo, error) {
	ctx, stop := context.WithTimeout(ctx, healthPatience)
	defer stop()
	return l.scorer.Health(ctx)
}

// sameRuntime looks whether the program that runs the model is the one that the figures were measured by. It reports that
// the look is over where it is not.
func (l *Loop) sameRuntime(ctx context.Context, row store.Model, champion, runtime string) (done bool, err error) {
	if runtime == "" {
		return false, nil
	}
	switch was, err := runtimeOf(row); {
	case err != nil || was == runtime:
		return false, err
	case was == "":
		return false, l.keepRuntime(ctx, champion, runtime)
	default:
		return true, l.remeasure(ctx, champion, was, runtime)
	}
}

const healthPatience = 3 * time.Second

// unanswered notes that the service could not be asked. It is no error here: where it matters, the scoring says so.
func (l *Loop) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.serviceTrouble = err.Error()
	return nil
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
