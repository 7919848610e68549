package actions

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// LabelWrite writes what a model labelled into the table: training rows to which people have given no label.
type LabelWrite struct {
	// DSNFile is a file with the connection string of a role that may update the table; the role of labels.postgres can
	// only read it.
	DSNFile string `yaml:"dsn_file" json:"dsn_file"`
	// Statement is the statement that writes one row, such as update public.items set category = @label where id = @id.
	// The parameters are @id, the name of each target, @answer (the whole answer as JSON) and @origin (the run).
	Statement string `yaml:"statement" json:"statement"`
}

func (w *LabelWrite) validate(p *check.Problems, here string) {
	if w == nil {
		return
	}
	if w.DSNFile == "" {
		p.Errorf(here+".dsn_file", "name a file with the connection string of a role that may update the table",
			"it is not configured which role writes to the table")
	}
	if w.Statement == "" {
		p.Errorf(here+".statement", "for example: update public.items set category = @label where id = @id",
			"it is not configured how a label is written to the table")
	}
}

// LabelParams returns the names of the parameters of a statement that writes labels.
func LabelParams(targets []serving.Target) []string {
	names := []string{"id"}
	for _, t := range targets {
		names = append(names, t.Name)
	}
	return append(names, "answer", "origin")
}

// LabelRow is what is written for one row.
type LabelRow struct {
	ID     string
	Hash   string            // of the text that was asked about
	Labels map[string]string // canonical, by target
	Answer json.RawMessage
}

// LabelsWritten counts rows: Rows were written, Taken were left alone because they were locked or had been changed, and
// None are those in which the statement changed nothing.
type LabelsWritten struct{ Rows, Taken, None int }

// writeLabels writes the larger model's labels, which are in the overlay of the run, into the table. Rows that were
// written before a crash have labels by then and are not written again.
func (x *Executor) writeLabels(ctx context.Context, p Plan, w LabelWrite, out Outcome) (Outcome, error) {
	overlay, err := teacher.ReadOverlay(p.overlayFile())
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	var rows []LabelRow
	err = x.patiently(ctx, p, func() error {
		rows = nil
		for row, err := range x.Source.Rows(ctx, p.Model) {
			if err != nil {
				return err
			}
			hash := drift.TextHash(row.Text)
			o, ok := overlay[[2]string{row.ID, hash}]
			if ok && row.Side != drift.SideTest && !row.Duplicate && len(row.Labels) == 0 && len(o.Labels) > 0 {
				rows = append(rows, LabelRow{ID: row.ID, Hash: hash, Labels: o.Labels, Answer: o.Answer})
			}
		}
		return nil
	})
	if err != nil {
		return failed(ctx, store.StepFailed, err)
	}
	written, err := x.Source.WriteLabels(ctx, p.Model, w, watch.OriginOf(p.Run), rows)
	if err != nil {
		failure, failedErr := failed(ctx, store.StepFailed, fmt.Errorf(
			"write the labels: %w; the labels are kept, and the next run writes those that are missing", err))
		failure.Facts = out.Facts
		return failure, failedErr
	}
	out.Detail += fmt.Sprintf("; %s written to the table", text.Plural(written.Rows, "row"))
	if written.Taken > 0 {
		out.Detail += fmt.Sprintf(", %d skipped, because they were changed meanwhile", written.Taken)
	}
	if written.None > 0 {
		out.Detail += fmt.Sprintf(", %d for which the statement changed no row", written.None)
	}
	if out.Facts.Label != nil {
		out.Facts.Label.Written = written.Rows
	}
	return out, nil
}

// Params returns the values of the parameters for a row's answer and labels, by name. nil means NULL: it is the value
// of a target for which the model gave no label, or the label that means null.
func (r LabelRow) Params(targets []serving.Target) map[string]any {
	values := map[string]any{"answer": string(r.Answer)}
	for _, t := range targets {
		values[t.Name] = nil
		if label, ok := r.Labels[t.Name]; ok && (t.Null == "" || label != t.NullValue()) {
			values[t.Name] = label
		}
	}
	return values
}
