package evaluator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// Diagnose explains the accuracy in the last report of a model. It computes everything from the store and the
// view, so that it does not wait for the loop, which may be busy for minutes with a slow service. v.Report must
// not be nil.
func Diagnose(ctx context.Context, db *store.Store, model string, v View) (drift.Diagnosis, error) {
	d := drift.Diagnosis{Model: model, At: time.Now().UTC(), Report: *v.Report}
	err := db.View(ctx, func(t *store.Tx) error {
		row, err := t.Model(model)
		if err != nil {
			return err
		}
		x := judge{
			name: model, rule: v.Rules, now: d.At, report: d.Report,
			relabels: drift.NewRelabelHistory(v.Rules.Model.Serving.List()[0]),
			history:  policy.History{Last: v.Decision}, beat: func() {},
		}
		if row.Champion == "" {
			x.found.Conclude()
			d.Labels = x.found
			return nil
		}
		release, err := champion(t, row, v.Rules.gate())
		if err != nil {
			return err
		}
		// Stop at the report's last change, so that the diagnosis and the last decision judge the same relabels.
		if err := follow(t, model, x.relabels, release.TrainedSeq, d.Report.Seq, func() {}); err != nil {
			return err
		}
		if err := x.run(t); err != nil {
			return err
		}
		d.Labels = x.found
		if d.Text, err = textDrift(ctx, t, model, release.BaselineSeq); err != nil {
			return err
		}
		d.Examples, err = learningCurve(t, model, release.TrainLabels, d.Report)
		return err
	})
	d.Conclude()
	return d, err
}

// textDrift compares the held-out texts in the baseline with those that arrived or were edited since. Both sets are
// random samples, unless the user's own test set decides which texts are held out.
func textDrift(ctx context.Context, t *store.Tx, model string, baseline int64) (drift.TextDrift, error) {
	var then, now []map[string]string
	for it, err := range t.HeldOut(model) {
		switch {
		case err != nil:
			return drift.TextDrift{}, err
		case ctx.Err() != nil:
			return drift.TextDrift{}, context.Cause(ctx)
		case it.Born <= baseline:
			then = append(then, it.Text)
		default:
			now = append(now, it.Text)
		}
	}
	return classifier.TextDrift(then, now, 1), nil
}

// learningCurve computes the learning curve from the releases that passed their gate. It leaves out rejected
// releases, because their training data may have been wrong.
func learningCurve(t *store.Tx, model string, training map[string]int, now drift.Report) (drift.LearningCurve, error) {
	releases, err := t.Releases(model, 1000)
	if err != nil {
		return drift.LearningCurve{}, err
	}
	var points []drift.CurvePoint
	for _, r := range releases {
		if r.State == store.ReleaseCandidate || r.State == store.ReleaseRejected {
			continue
		}
		var g actions.GateFacts
		var labels map[string]int
		if err := json.Unmarshal([]byte(r.Metrics), &g); err != nil {
			return drift.LearningCurve{}, fmt.Errorf("release %s: %w", text.Digest(r.Digest), err)
		}
		if err := json.Unmarshal([]byte(r.Labels), &labels); err != nil {
			return drift.LearningCurve{}, fmt.Errorf("release %s: %w", text.Digest(r.Digest), err)
		}
		examples := 0
		for _, n := range labels {
			examples += n
		}
		if g.N > 0 && examples > 0 {
			points = append(points, drift.CurvePoint{
				Run: r.Run, At: r.Created, Examples: examples,
				Accuracy: g.Candidate.Accuracy, N: g.N,
			})
		}
	}
	examples := maps.Clone(now.Labels.New)
	if examples == nil {
		examples = map[string]int{}
	}
	maps.Copy(examples, training)
	return drift.NewLearningCurve(points, examples, now.Category), nil
}
