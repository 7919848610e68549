package teacher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

const (
	part      = 32 // texts between two checks of the budget
	mostTries = 3  // attempts for a text that fails while others are answered
)

// bookFile returns the file for the answers of a model to the configured prompts and targets.
func bookFile(dir, digest string, c serving.Config) string {
	doc, err := json.Marshal([]any{digest, c.Ollama.Digest(), c.List()})
	if err != nil {
		panic("teacher: " + err.Error()) // impossible for our own structs
	}
	sum := sha256.Sum256(doc)
	return filepath.Join(dir, hex.EncodeToString(sum[:8])+".jsonl")
}

// ask requests labels for the items without an answer, and stores each answer. The result says why it stopped early; it
// is nil if all items have an answer.
func (r *run) ask(ctx context.Context, items []Item, doing string) (*job.Result, error) {
	var left []serving.Text
	for _, it := range items {
		if _, known := r.book.Find(it.ID, it.Hash); !known {
			left = append(left, serving.Text{Item: it.ID, Hash: it.Hash, Fields: it.Text})
		}
	}
	scorer := serving.NewScorer(r.in.Serving)
	defer scorer.Close()
	tries := map[string]int{}
	began, answered, all := time.Now(), time.Now(), len(left)
	for pause := time.Duration(0); len(left) > 0; {
		if spent := time.Since(r.began); r.in.Budget > 0 && spent >= r.in.Budget {
			return &job.Result{Class: store.StepBlocked, Why: policy.ReasonBudget, Detail: fmt.Sprintf(
				"the budget of %v for one night is spent: %s are still to be %s; the step continues the next night", r.in.Budget,
				text.Plural(len(left), "text"), doing)}, nil
		}
		r.progress(len(items), all, len(left), began, doing)
		now := left[:min(part, len(left))]
		got, err := r.part(ctx, scorer, now)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var kept *keepError
		if errors.As(err, &kept) {
			return nil, kept.error
		}
		alive := got > 0
		if !alive && errors.Is(err, serving.ErrService) {
			alive = r.pulse(ctx, scorer, items)
		}
		rest, broken := r.rest(left, len(now), alive, tries, err)
		if broken != nil {
			return nil, broken
		}
		left = rest
		if alive {
			answered, pause = time.Now(), 0
		}
		switch {
		case err == nil || alive && len(left) == 0:
			continue
		case time.Since(answered) > r.in.Patience:
			return nil, fmt.Errorf("%s has answered nothing for %s: %w; the answers to %s are kept, and the next run continues from there",
				r.facts.Model, text.Span(r.in.Patience), err, text.Plural(len(items)-len(left), "text"))
		}
		pause = min(max(2*pause, 100*time.Millisecond), 30*time.Second)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(min(pause, r.in.Patience)):
		}
	}
	return nil, nil
}

// keepError means that an answer could not be stored, for example on a full disk. It is not a failure of the model.
type keepError struct{ error }

// part requests labels for some texts, and returns how many were answered.
func (r *run) part(ctx context.Context, scorer *serving.Scorer, texts []serving.Text) (got int, err error) {
	var broken error
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err = scorer.Score(ctx, texts, func(t serving.Text, a serving.Answer) {
		if broken != nil {
			return
		}
		got++
		if broken = r.book.Add(r.line(t, a)); broken != nil {
			stop()
		}
	})
	if broken != nil {
		return got, &keepError{broken}
	}
	return got, err
}

// pulse sends a text that was answered before, and reports whether the server answers it again. If so, the failure is
// due to the other texts and not to the server.
func (r *run) pulse(ctx context.Context, scorer *serving.Scorer, items []Item) bool {
	for _, it := range items {
		if l, ok := r.book.Find(it.ID, it.Hash); ok && l.Error == "" {
			text := serving.Text{Item: it.ID, Hash: it.Hash, Fields: it.Text}
			return scorer.Score(ctx, []serving.Text{text}, func(serving.Text, serving.Answer) {}) == nil
		}
	}
	return false
}

// line returns the record of an answer.
func (r *run) line(t serving.Text, a serving.Answer) Line {
	l := Line{Item: t.Item, Hash: t.Hash, Values: a.Values, Answer: json.RawMessage(a.Whole)}
	switch bad := r.foreign(a.Values); {
	case a.Format != "":
		return Line{Item: t.Item, Hash: t.Hash, Error: a.Format}
	case bad != "":
		return Line{Item: t.Item, Hash: t.Hash, Error: bad}
	}
	return l
}

// foreign returns a message if a value is none of the categories that people use, else "". Without an enum in its
// schema a model may invent categories. While people have labelled nothing for a target, foreign accepts every value of
// it.
func (r *run) foreign(values serving.Answers) string {
	for _, t := range r.targets {
		known := r.categories[t.Name]
		if t.Kind != serving.KindLabel && t.Kind != "" || len(known) == 0 || known[values[t.Name]] ||
			r.in.Serving.Ollama.Enumerates(t) {
			continue
		}
		return fmt.Sprintf("%s is %q, a category that no label of people has; list the allowed categories as enum in the schema",
			t.Name, values[t.Name])
	}
	return ""
}

// rest returns the texts that are still to be sent. It drops a text that has failed mostTries times while others were
// answered, since the server cannot answer it, and stores the failure `why` instead of an answer.
func (r *run) rest(left []serving.Text, asked int, alive bool, tries map[string]int, why error) ([]serving.Text, error) {
	rest := append([]serving.Text{}, left[asked:]...)
	for _, t := range left[:asked] {
		if _, known := r.book.Find(t.Item, t.Hash); known {
			continue
		}
		if alive {
			tries[t.Item]++
		}
		if tries[t.Item] >= mostTries && why != nil {
			if err := r.book.Add(Line{Item: t.Item, Hash: t.Hash, Error: strings.ToValidUTF8(why.Error(), "?")}); err != nil {
				return nil, err
			}
			continue
		}
		rest = append(rest, t) // to be sent after the others
	}
	return rest, nil
}

// progress reports how many texts are done, and the remaining time at the pace so far.
func (r *run) progress(items, all, left int, began time.Time, doing string) {
	done := items - left
	words := fmt.Sprintf("%d of %d %s", done, items, doing)
	if n := all - left; n > 0 {
		pace := time.Since(began) / time.Duration(n)
		words += ", about " + text.Span((pace * time.Duration(left)).Round(time.Second)) + " left"
	}
	r.job.Progress(float64(done)/float64(max(items, 1)), words)
}
