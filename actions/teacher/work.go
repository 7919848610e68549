package teacher

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/store"
)

// Input is the input of the step.
type Input struct {
	// Serving configures the requests to the model, and which fields of its answers are labels.
	Serving serving.Config `json:"serving"`
	Items   string         `json:"items"`   // file with the items, one line of JSON each
	Books   string         `json:"books"`   // directory of the stored answers
	Overlay string         `json:"overlay"` // file to write
	// Measure is the number of held-out items that the model labels, to be compared with people. MinAgreement is the share
	// of them that the model must label as people did.
	Measure      int     `json:"measure"`
	MinAgreement float64 `json:"min_agreement,omitempty"`
	// Budget is the longest time for requests; 0 means unlimited.
	Budget time.Duration `json:"budget,omitempty"`
	// Patience is how long the model may give no answer before the step fails.
	Patience time.Duration `json:"patience"`
}

// Item is one text, with its labels from people.
type Item struct {
	ID     string            `json:"id"`
	Hash   string            `json:"text_hash"`
	Text   map[string]string `json:"text"`
	Labels map[string]string `json:"labels,omitempty"` // canonical, by target
	// Heldout items are labelled for the measurement only.
	Heldout bool `json:"heldout,omitempty"`
}

// Facts are the figures that a step reports.
type Facts struct {
	Model     string     `json:"model"`
	Digest    string     `json:"digest"` // digest of the model's manifest on the server
	Items     int        `json:"items"`  // items to label
	Labelled  int        `json:"labelled"`
	Kept      int        `json:"kept"`              // labelled items whose answers had been stored before
	Unusable  int        `json:"unusable"`          // answers that could not be used
	Written   int        `json:"written,omitempty"` // rows of the table that got a label
	Agreement *Agreement `json:"agreement,omitempty"`
}

// Work labels the items; the data of its result are Facts.
func Work(ctx context.Context, j job.Job) (job.Result, error) {
	var in Input
	if err := j.Decode(&in); err != nil {
		return job.Result{}, err
	}
	items, err := readItems(in.Items)
	if err != nil {
		return job.Result{}, err
	}
	r := &run{in: in, job: j, began: time.Now(), targets: in.Serving.List(), categories: people(items)}
	r.facts.Model = in.Serving.Ollama.Model
	if r.facts.Digest, err = digest(ctx, in.Serving.Ollama, in.Patience); err != nil {
		return job.Result{}, err
	}
	if r.book, err = OpenBook(bookFile(in.Books, r.facts.Digest, in.Serving)); err != nil {
		return job.Result{}, err
	}
	result, err := r.work(ctx, items)
	return result, errors.Join(err, r.book.Close())
}

// run is one attempt of the step.
type run struct {
	in         Input
	job        job.Job
	began      time.Time
	targets    []serving.Target
	categories map[string]map[string]bool // the categories that people use, by target
	book       *Book
	facts      Facts
}

func (r *run) work(ctx context.Context, items []Item) (job.Result, error) {
	measured, train := split(items, r.targets[0].Name, r.in.Measure)
	r.facts.Items = len(train)
	for _, it := range train {
		if l, known := r.book.Find(it.ID, it.Hash); known && l.Values != nil {
			r.facts.Kept++
		}
	}
	// Measure first: it takes minutes, the labelling takes hours.
	if over, err := r.ask(ctx, measured, "compared with people"); err != nil || over != nil {
		return r.ended(over), err
	}
	if result := r.agree(measured); result != nil {
		return *result, nil
	}
	if over, err := r.ask(ctx, train, "labelled"); err != nil || over != nil {
		return r.ended(over), err
	}
	if err := r.write(train); err != nil {
		return job.Result{}, err
	}
	if r.facts.Items > 0 && r.facts.Labelled == 0 {
		l, _ := r.book.Find(train[0].ID, train[0].Hash)
		return job.Result{Class: store.StepFailed, Data: job.Encode(r.facts), Detail: fmt.Sprintf(
			"no usable answer among %s of %s: %s", text.Plural(r.facts.Items, "answer"), r.facts.Model, l.Error)}, nil
	}
	return job.Result{Class: store.StepOK, Detail: r.sentence(), Data: job.Encode(r.facts)}, nil
}

func (r *run) ended(over *job.Result) job.Result {
	if over == nil {
		return job.Result{}
	}
	over.Data = job.Encode(r.facts)
	return *over
}

func (r *run) sentence() string {
	out := fmt.Sprintf("%d of %s labelled by %s, %d of them before this run", r.facts.Labelled,
		text.Plural(r.facts.Items, "text"), r.facts.Model, r.facts.Kept)
	if r.facts.Unusable > 0 {
		out += fmt.Sprintf("; %s could not be used", text.Plural(r.facts.Unusable, "answer"))
	}
	if a := r.facts.Agreement; a != nil {
		out += "; " + r.facts.Model + " labels " + agreement(*a)
	}
	return out
}

func agreement(a Agreement) string {
	return fmt.Sprintf("as people did on %.1f%% of %s (95%% interval %.1f%% to %.1f%%), kappa %.2f", 100*a.Share,
		text.Plural(a.N, "held-out item"), 100*a.Low, 100*a.High, a.Kappa)
}

// agree compares the answers for held-out items with people's labels. It returns nil if the labelling may begin.
func (r *run) agree(measured []Item) *job.Result {
	target := r.targets[0].Name
	var pairs [][2]string
	for _, it := range measured {
		if l, ok := r.book.Find(it.ID, it.Hash); ok {
			pairs = append(pairs, [2]string{it.Labels[target], cmp.Or(l.Values[target], serving.FormatError)})
		}
	}
	a := Agree(target, pairs)
	if a.N > 0 {
		r.facts.Agreement = &a
	}
	switch {
	case r.in.MinAgreement == 0 || a.Share >= r.in.MinAgreement && a.N > 0:
		return nil
	case a.N == 0:
		return &job.Result{
			Class: store.StepFailed, Data: job.Encode(r.facts),
			Detail: "no held-out item has a label from people: min_agreement cannot be checked; label some held-out items, or remove min_agreement",
		}
	}
	return &job.Result{
		Class: store.StepRejected, Why: policy.ReasonNotWorse, Data: job.Encode(r.facts),
		Detail: fmt.Sprintf("%s labels %s; min_agreement is %g%%", r.facts.Model, agreement(a), 100*r.in.MinAgreement),
	}
}

// split returns the held-out items for the measurement, a random sample by hash, and the training items to label.
func split(items []Item, target string, most int) (measured, train []Item) {
	for _, it := range items {
		switch {
		case !it.Heldout:
			train = append(train, it)
		case it.Labels[target] != "":
			measured = append(measured, it)
		}
	}
	slices.SortFunc(measured, func(a, b Item) int { return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.ID, b.ID)) })
	return measured[:min(most, len(measured))], train
}

// people returns the categories that people use, by target.
func people(items []Item) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, it := range items {
		for target, v := range it.Labels {
			if out[target] == nil {
				out[target] = map[string]bool{}
			}
			out[target][v] = true
		}
	}
	return out
}

func readItems(path string) ([]Item, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var items []Item
	in := json.NewDecoder(bufio.NewReader(f))
	for in.More() {
		var it Item
		if err := in.Decode(&it); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		items = append(items, it)
	}
	return items, nil
}

// digest returns the digest of the model's manifest. Answers are stored by it, so that another model with the same name
// starts without any. It repeats the request while the server does not answer, at most for patience.
func digest(ctx context.Context, c *serving.OllamaConfig, patience time.Duration) (string, error) {
	client, err := ollama.New(c.URL)
	if err != nil {
		return "", err
	}
	defer client.Close()
	list, err := client.Models(ctx)
	for began := time.Now(); errors.Is(err, ollama.ErrAway) && time.Since(began) < patience; {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(min(patience, 500*time.Millisecond)):
		}
		list, err = client.Models(ctx)
	}
	if err != nil {
		return "", err
	}
	for _, m := range list {
		if m.Name == ollama.Tagged(c.Model) {
			return m.Digest, nil
		}
	}
	return "", fmt.Errorf("the Ollama server at %s has no model %s, which step label needs: fetch it with ollama pull %s",
		client.URL(), c.Model, c.Model)
}
