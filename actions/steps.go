package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// export writes the training and test files. A repeated call writes them again.
func (x *Executor) export(ctx context.Context, p Plan) (Outcome, error) {
	var seq int64
	var before map[string]int
	err := x.Store.View(ctx, func(t *store.Tx) error {
		var err error
		if seq, err = t.LastChange(p.Model); err != nil {
			return err
		}
		if p.Champion == "" || p.Forced {
			return nil
		}
		r, err := t.Release(p.Model, p.Champion)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal([]byte(r.Labels), &before)
		}
		return err
	})
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	var refused error
	plan := ExportPlan{
		Targets: p.targets(), SaltID: x.Source.SaltID(p.Model), Remember: true,
		Seq: seq, // read before the rows: later changes count as new, never as trained on
		Guard: func(f ExportFacts) error {
			refused = CheckExport(f, before)
			return refused
		},
	}
	if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Chat }) {
		if plan.Chat, err = serving.NewChat(p.Serving); err != nil {
			return failed(ctx, store.StepFailed, err)
		}
	}
	if plan.Overlay, err = teacher.ReadOverlay(p.overlayFile()); err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	if o := p.Serving.Ollama; o != nil {
		plan.Prompts = o.Digest()
	}
	var facts ExportFacts
	var seen *drift.Seen
	err = x.patiently(ctx, p, func() (err error) {
		facts, seen, err = Export(ctx, p.dataDir(), plan, x.Source.Rows(ctx, p.Model))
		return err
	})
	if refused != nil {
		return Outcome{Class: store.StepFailed, Detail: refused.Error(), Facts: Facts{Export: &facts}}, nil //nolint:nilerr // a refusal is an outcome, not a fault
	}
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	if err := x.keepTrained(ctx, p, seen); err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	if err := os.MkdirAll(p.releaseDir(), 0o755); err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	detail := fmt.Sprintf("%d items to train on, %d held out, %d categories", facts.Train, facts.Test, len(facts.Labels))
	if facts.Overlay > 0 {
		detail += fmt.Sprintf("; %d more items labelled by a larger model", facts.Overlay)
	}
	if facts.Incomplete > 0 {
		detail += fmt.Sprintf("; %d items are omitted, because they lack labels that the schema requires", facts.Incomplete)
	}
	return Outcome{Class: store.StepOK, Detail: detail, Facts: Facts{Export: &facts}}, nil
}

// sourcePatience is how long a step waits for an unreachable source of labels.
const sourcePatience = 5 * time.Minute

// patiently calls read, and repeats it while the source is unreachable, as the sources themselves do.
func (x *Executor) patiently(ctx context.Context, p Plan, read func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 200*time.Millisecond, 10*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := read()
		var away *watch.Fault
		if err != nil && (!errors.As(err, &away) || away.Permanent) {
			return struct{}{}, backoff.Permanent(err)
		}
		if err != nil {
			x.Log.Warn("the source of labels is unreachable; trying again", "run_id", p.Run, "err", err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(sourcePatience))
	return err
}

// heldItem is a held-out item with its text.
type heldItem struct {
	drift.LabelChange
	Text map[string]string
}

// snapshot is one consistent state of the data for the gate and the verifications.
type snapshot struct {
	items    []heldItem
	champion answers  // nil before the first release
	was      Champion // the champion's stored state
	seq      int64
}

func (x *Executor) snapshot(ctx context.Context, p Plan) (snapshot, error) {
	var s snapshot
	err := x.Store.View(ctx, func(t *store.Tx) error {
		for it, err := range t.HeldOut(p.Model) {
			if err != nil {
				return err
			}
			s.items = append(s.items, heldItem{LabelChange: drift.LabelChange{
				Item: it.ID, Heldout: true, TextHash: it.TextHash,
				Group: it.Group, New: serving.Values(p.targets(), it.Labels), Seq: it.Seq,
			}, Text: it.Text})
		}
		var err error
		if s.seq, err = t.LastChange(p.Model); err != nil || p.Champion == "" {
			return err
		}
		if s.champion, err = cached(t, p.Model, p.Champion); err != nil {
			return err
		}
		s.was, err = championOf(t, p)
		return err
	})
	return s, err
}

func cached(t *store.Tx, model, release string) (answers, error) {
	out := answers{}
	err := t.Predictions(model, release, func(pr store.Prediction) {
		out[[2]string{pr.Item, pr.TextHash}] = answer{pr.Answers, pr.Confidence}
	})
	return out, err
}

// gate seals the candidate and compares it with the champion on one frozen snapshot.
func (x *Executor) gate(ctx context.Context, p Plan, done []Outcome) (Outcome, error) {
	r, answered, err := x.sealed(p, done)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	faults.Point("sealed")
	if s := staged(done); s != nil && s.Release != r.Digest {
		return Outcome{Class: store.StepFailed, Detail: fmt.Sprintf("the release has digest %s, but digest %s was staged: a step after stage writes into $RETRAIND_RELEASE_DIR; let it write into $RETRAIND_WORK_DIR",
			text.Digest(r.Digest), text.Digest(s.Release))}, nil
	}
	mine, err := readPredictions(answered, p.targets())
	if err == nil {
		err = answersAll(mine, exported(done))
	}
	if err == nil && exported(done) == nil {
		err = x.trainedElsewhere(ctx, p)
	}
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	s, err := x.snapshot(ctx, p)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	items, leaked, err := x.unseen(ctx, p, s.items)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	champion := s.champion
	fair, enough := fairItems(s.was, items)
	if enough {
		items = fair
	} else {
		champion = nil
	}
	facts := compare(p.targets(), items, mine, champion)
	facts.Release, facts.Seq, facts.Leaked = r.Digest, s.seq, leaked
	if facts.Figures = measured(done); len(facts.Figures) > 0 {
		if facts.ChampionFigures, err = x.championFigures(ctx, p); err != nil {
			return failed(ctx, store.StepFailed, err)
		}
	}
	categories := facts.Worse
	facts, class, why := Judge(p.Promote, facts, p.Champion)
	if worse := judgeCause(p.Cause, categories, facts); class == store.StepOK && worse != "" {
		class, why = store.StepRejected, worse+"; "+why
	}
	if class == store.StepOK {
		if failing, bad, because := judgeFigures(p.Promote.Figures, facts); bad != store.StepOK {
			facts.Failing, class, why = failing, bad, because+"; "+why
		}
	}
	if class, why, err = p.judgedBase(items, mine, &facts, class, why); err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	switch {
	case !enough:
		why += fmt.Sprintf("; not compared with the adopted champion: its training data is unknown, and only %d held-out items were added or corrected since its adoption, %d are needed",
			len(fair), minFairItems)
	case len(items) < len(s.items) && s.was.Adopted != nil && s.was.Adopted.TrainedOn == "":
		why += "; compared on the items that were added or corrected since the champion was adopted"
	}
	out := Outcome{Class: class, Detail: why, Facts: Facts{Gate: &facts}}
	if class == store.StepOK && p.Champion != "" && differing(probes(s.items, mine, s.champion)) == 0 &&
		p.composed() == nil && !x.healthNames(ctx, p) {
		out.Class, out.Why = store.StepRejected, policy.ReasonIndistinguishable
		out.Detail = "indistinguishable: the candidate answers every held-out item as the champion does, and the service's health answer names no release, so nothing could prove that the candidate serves; set serving.health_release, or wait for labels on which the two differ; " +
			why
	}
	if r.Digest == p.Champion { // the champion's own row and answers do not change
		if why := x.damaged(ctx, p); why != "" {
			out.Class, out.Why = store.StepOK, ""
			out.Detail = "the training produced the champion again, whose files are damaged: they are replaced (" + why + ")"
		}
		return out, nil
	}
	return out, x.keepCandidate(ctx, p, r, facts, exported(done), mine)
}

// sealed returns the candidate and the directory of its answers. It seals the candidate unless the step predict has
// done so.
func (x *Executor) sealed(p Plan, done []Outcome) (Release, string, error) {
	asked := predicted(done)
	if asked == nil {
		r, err := Seal(p.releaseDir(), p.Model, p.Run, now())
		return r, p.releaseDir(), err
	}
	r, err := ReadRelease(p.releaseDir())
	if err == nil && r.Digest != asked.Release {
		err = fmt.Errorf("release %s is not the one that was asked about the held-out items: it was changed in between",
			text.Digest(r.Digest))
	}
	return r, p.RunDir, err
}

// healthNames reports whether the service's health can identify the release in service. If the service does not answer,
// it returns true: then the verification after the deployment decides.
func (x *Executor) healthNames(ctx context.Context, p Plan) bool {
	scorer := serving.NewScorer(p.Serving)
	defer scorer.Close()
	health, err := scorer.Health(ctx)
	return err != nil || health.Release != ""
}

// keepCandidate stores the candidate with its offline answers. Once the candidate is deployed, the service's answers
// are compared with them.
func (x *Executor) keepCandidate(ctx context.Context, p Plan, r Release, gate GateFacts, export *ExportFacts,
	mine answers,
) error {
	if export == nil {
		export = &ExportFacts{} // a pipeline without an export: nothing is known about its training data
	}
	row := store.Release{
		Digest: r.Digest, Model: p.Model, Run: p.Run, Path: p.releaseDir(), Seq: export.Seq, Info: export.Info,
		Labels: mustJSON(export.Labels), Metrics: mustJSON(gate), State: store.ReleaseCandidate, Created: now(),
	}
	return x.durably(ctx, func() error {
		return x.Store.Update(ctx, "candidate", func(t *store.Tx) error {
			if err := t.PutRelease(row); err != nil {
				return err
			}
			for key, a := range mine {
				if err := t.PutPrediction(p.Model, r.Digest,
					store.Prediction{
						Item: key[0], TextHash: key[1], Answers: a.Answers, Confidence: a.confidence,
						At: row.Created,
					}); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// release lets `current` point to the candidate. It is idempotent.
func (x *Executor) release(ctx context.Context, p Plan, done []Outcome) (Outcome, error) {
	gate := gated(done)
	r, err := ReadRelease(p.releaseDir())
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	if gate == nil || gate.Release != r.Digest {
		return Outcome{
			Class: store.StepFailed,
			Detail: fmt.Sprintf("release %s is not the one that passed the gate: it was changed in between",
				text.Digest(r.Digest)),
		}, nil
	}
	err = x.durably(ctx, func() error {
		return x.Store.Update(ctx, "deploy", func(t *store.Tx) error {
			_, err := t.AddDeploy(p.Model, r.Digest, p.Run, store.DeployNew, now())
			return err
		})
	})
	if err != nil {
		return Outcome{}, err
	}
	if err := point(p.ModelDir, p.releaseDir()); err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	faults.Point("deployed")
	return Outcome{Class: store.StepOK, Detail: "the link current points to release " + text.Digest(r.Digest)}, nil
}

// verify verifies that the service answers as the candidate.
func (x *Executor) verify(ctx context.Context, p Plan, done []Outcome) (Outcome, error) {
	gate := gated(done)
	if gate == nil {
		return Outcome{Class: store.StepFailed, Detail: "there is no record of a gate to verify against"}, nil
	}
	var want answers
	s, err := x.snapshot(ctx, p)
	if err == nil {
		err = x.Store.View(ctx, func(t *store.Tx) (err error) {
			want, err = cached(t, p.Model, gate.Release)
			return err
		})
	}
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	q := question{
		release: gate.Release, health: gate.Release, probes: probes(s.items, want, s.champion),
		former: p.Champion != "" && p.Champion != gate.Release && deployedBy(done, ActDo) == nil, smoke: p.Promote.Smoke,
	}
	out, err := x.prove(ctx, p, q)
	if err == nil {
		out, err = onInstance(ctx, out, deployedBy(done, ActDo))
	}
	if err != nil || out.Class != store.StepOK {
		return out, err
	}
	// The service may have loaded the files before a later step changed them: after its next start it would answer
	// differently.
	if _, err := ReadRelease(p.releaseDir()); err != nil {
		return failed(ctx, store.StepNotProved,
			fmt.Errorf("the service answers as it should, but the release was changed after the gate: %w; a step between gate and verify writes into $RETRAIND_RELEASE_DIR",
				err))
	}
	return out, nil
}

// unrelease lets `current` point to its former target: the champion, or nothing.
func (x *Executor) unrelease(ctx context.Context, p Plan) (Outcome, error) {
	dir, err := x.championDir(ctx, p)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	if dir != "" {
		if _, err := ReadRelease(dir); err != nil && !IsAdopted(p.Champion) {
			return failed(ctx, store.StepBlocked,
				fmt.Errorf("the former release is damaged, so the link current was not changed: %w", err))
		}
	}
	if err := x.durably(ctx, func() error {
		return x.Store.Update(ctx, "rollback", func(t *store.Tx) error {
			_, err := t.AddDeploy(p.Model, p.Champion, p.Run, store.DeployFormer, now())
			return err
		})
	}); err != nil {
		return Outcome{}, err
	}
	if err := point(p.ModelDir, dir); err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	faults.Point("rolled back")
	if dir == "" {
		return Outcome{Class: store.StepOK, Detail: "the link current was removed, because there was no release before"}, nil
	}
	detail := "the link current points to release " + text.Digest(p.Champion) + " again"
	return Outcome{Class: store.StepOK, Detail: detail}, nil
}

// championOf returns the stored state of the plan's champion: the present champion, or for a rollback the one before.
func championOf(t *store.Tx, p Plan) (Champion, error) {
	row, err := t.Model(p.Model)
	if err != nil {
		return Champion{}, err
	}
	c, err := ReadChampion(row.Baseline)
	if err == nil && row.Champion != p.Champion && c.Former != nil {
		c = *c.Former
	}
	return c, err
}

func (x *Executor) championDir(ctx context.Context, p Plan) (string, error) {
	if p.Champion == "" {
		return "", nil
	}
	var dir string
	err := x.Store.View(ctx, func(t *store.Tx) error {
		r, err := t.Release(p.Model, p.Champion)
		dir = r.Path
		return err
	})
	return dir, err
}

// proveFormer verifies, after an undo, that the former release is in service.
func (x *Executor) proveFormer(ctx context.Context, p Plan, done []Outcome) (Outcome, error) {
	if p.Champion == "" {
		return Outcome{Class: store.StepOK, Detail: "there was no release before: nothing to verify"}, nil
	}
	s, err := x.snapshot(ctx, p)
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	// Texts on which the former release differs from the refused one show best that the refused one is no longer in
	// service.
	var refused answers
	if digest := p.refused(); digest != "" {
		err = x.Store.View(ctx, func(t *store.Tx) (err error) {
			refused, err = cached(t, p.Model, digest)
			return err
		})
		if err != nil {
			return failed(ctx, store.StepFailed, err)
		}
	}
	q := question{
		release: p.Champion, health: p.Champion, probes: probes(s.items, s.champion, refused), other: "rolled-back",
	}
	if s.was.Adopted != nil {
		q.health = s.was.Adopted.Health
	}
	out, err := x.prove(ctx, p, q)
	if err != nil {
		return out, err
	}
	return onInstance(ctx, out, deployedBy(done, ActUndo))
}

// refused returns the digest of the candidate, or of the release that a run rolls back; "" if it is unknown.
func (p Plan) refused() string {
	if p.Rollback != nil {
		return p.Rollback.Release
	}
	r, err := ReadRelease(p.releaseDir())
	if err != nil {
		return ""
	}
	return r.Digest
}

// question is the input of a verification.
type question struct {
	release string // digest of the release that must be in service
	health  string // digest that the health answer must have, if it has one
	former  bool   // the release must be distinguished from a former one
	other   string // how messages name the release that served before; "" means former
	probes  []probe
	smoke   []Smoke
}

func (x *Executor) prove(ctx context.Context, p Plan, q question) (Outcome, error) {
	config := p.Serving
	config.Batch = nil // single requests, as clients send them
	scorer := serving.NewScorer(config)
	defer scorer.Close()
	pr := proof{
		scorer: scorer, gate: p.targets()[0].Name, promote: p.Promote, release: q.release, health: q.health,
		former: q.former, other: q.other, probes: q.probes, smoke: canonicalSmoke(p.targets()[0], q.smoke),
	}
	facts, why, err := pr.run(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if why != "" {
		return Outcome{Class: store.StepNotProved, Detail: why, Facts: Facts{Verify: &facts}}, nil
	}
	detail := fmt.Sprintf("release %s serves: %d of %d answers equal the artifact's offline answers", text.Digest(q.release),
		facts.Agreed, facts.Probed)
	if facts.Probed == 0 {
		detail = fmt.Sprintf("release %s serves, as the health answer says; no held-out item has a stored answer of the release",
			text.Digest(q.release))
	}
	if q.former {
		detail += fmt.Sprintf("; the former release answers %d of these requests differently", facts.Differ)
	}
	return Outcome{Class: store.StepOK, Facts: Facts{Verify: &facts}, Detail: detail}, nil
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("actions: " + err.Error()) // impossible for our own structs
	}
	return string(b)
}
