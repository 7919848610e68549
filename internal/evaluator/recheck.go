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

// Serving is the stored state of the service's last checks.
type Serving struct {
	Named    string    `json:"named,omitempty"`   // digest of the champion in the health answer; "" if its adopted release had none
	Champion string    `json:"champion"`          // the champion at that time; another champion invalidates the state
	Proved   time.Time `json:"proved"`            // when the service last gave the champion's answers
	Sampled  time.Time `json:"sampled,omitzero"`  // when a sample was last scored
	Evidence float64   `json:"evidence"`          // log likelihood ratio for another model, at least 0
	Foreign  *Foreign  `json:"foreign,omitempty"` // nil while the champion serves
	Monitor  string    `json:"monitor,omitempty"` // state of the sequential tests at Proved
	// Repeats is how often a language model gives the same answer to the same text twice. It is nil if it was not
	// measured, and for other kinds of model.
	Repeats *actions.Repeats `json:"repeats,omitempty"`
	// GPU is true once the champion was completely on a GPU. OffGPU says what has changed since, "" while it still is.
	GPU    bool   `json:"gpu,omitempty"`
	OffGPU string `json:"off_gpu,omitempty"`
}

const (
	// healthEvery is the shortest interval between the health requests of evaluations that label changes cause.
	healthEvery = 10 * time.Second
	// foreignEvidence is the log likelihood ratio from which the service counts as foreign. With a sample each hour, a
	// champion that differs from its stored answers as often as parity allows reaches this value once in 20 years
	// (TestEvidenceSeparates).
	foreignEvidence = 10
	// foreignDisagrees is the smallest share of answers in which another model is assumed to differ from the champion.
	foreignDisagrees = 0.1
	// suspiciousSamples is the largest number of samples that are scored in a row while the evidence is inconclusive.
	suspiciousSamples = 4
)

// recheck checks whether the service still gives the champion's answers. It queries the service's health, at most once
// in healthEvery after label changes. It scores a sample of texts at the configured times, if requested, and each time
// while another release serves. No run may be active.
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
		l.serviceTrouble = l.notAsked
		return nil
	}
	sample = !config.Recheck.HealthOnly &&
		(sample || s.Foreign != nil || s.sampleDue(now, config.Recheck.Every.D()))
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
	if err := l.lookAtGPU(ctx, s, health); err != nil {
		return err
	}
	named := release != "" && release == s.Named
	if s.Foreign == nil {
		if done, err := l.measuredOtherwise(ctx, row, champion, health.Runtime); err != nil || done {
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

// sampleDue reports whether the last sample is too old. A sample from the future is too: the clock was set back since.
func (s *Serving) sampleDue(now time.Time, every time.Duration) bool {
	return s.Sampled.After(now) || !now.Before(s.Sampled.Add(every))
}

// servingOf reads the stored state of the service's checks. For a new champion, which a run or an adoption has just
// proved, it returns a new state.
func (l *Loop) servingOf(row store.Model, champion string, now time.Time) (*Serving, error) {
	s := &Serving{}
	if row.Serving != "" {
		if err := json.Unmarshal([]byte(row.Serving), s); err != nil {
			return nil, fmt.Errorf("stored state of the service: %w", err)
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

// sampled scores at most suspiciousSamples samples, until they are conclusive, and stores the result.
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
			break // one sample decides whether the champion serves again
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
			cmp.Or(text.Digest(as), "an unknown release"), text.Digest(s.Champion))
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

// health asks the service which release it serves, and waits at most healthPatience.
func (l *Loop) health(ctx context.Context) (serving.HealthInfo, error) {
	ctx, stop := context.WithTimeout(ctx, healthPatience)
	defer stop()
	return l.scorer.Health(ctx)
}

const healthPatience = 3 * time.Second

// unanswered records that the service could not be queried. It returns no error for this: if texts must be scored,
// scoring reports the error.
func (l *Loop) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.serviceTrouble = err.Error()
	return nil
}

// showServing copies the state of the service into the view.
func (l *Loop) showServing() {
	var shown *Serving
	if l.serving != nil {
		shown = &Serving{}
		*shown = *l.serving
	}
	l.setView(func(v *View) { v.Serving, v.ServiceTrouble = shown, l.serviceTrouble })
}
