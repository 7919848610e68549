// Package predict gets the answers of a candidate that is not deployed yet for the held-out items, if its training does
// not write them itself: from a one-off container of its image, from the staged name on an Ollama server, or from a
// service at a URL.
//
// It runs as a job under the step supervisor. It reads the items from a file and writes all answers to another one,
// atomically; a second attempt therefore starts from the beginning. It never changes the deployed service.
package predict

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/actions/compose"
	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// Input is the input of the job.
type Input struct {
	// Serving configures the requests to the candidate.
	Serving serving.Config `json:"serving"`
	// Compose and Beside configure a container of the candidate's image, which gets the requests instead of the service.
	// Without such a container, Compose is nil.
	Compose *compose.Input `json:"compose,omitempty"`
	Beside  compose.Beside `json:"beside,omitzero"`
	Items   string         `json:"items"` // file with the held-out items
	Out     string         `json:"out"`   // file for the answers
	// Base is queried for the same items after the candidate; nil for none.
	Base *Base `json:"base,omitempty"`
}

// Item is one line of the file of items.
type Item struct {
	ID       string            `json:"id"`
	TextHash string            `json:"text_hash"`
	Text     map[string]string `json:"text"`
}

// line is one line of the file of answers.
type line struct {
	ID         string         `json:"id"`
	TextHash   string         `json:"text_hash"`
	Answers    map[string]any `json:"answers,omitempty"`
	Error      string         `json:"error,omitempty"` // "format" if a language model's answer cannot be used
	Confidence float64        `json:"confidence,omitempty"`
}

// Work gets the candidate's answer to each item.
func Work(ctx context.Context, j job.Job) (job.Result, error) {
	var in Input
	if err := j.Decode(&in); err != nil {
		return job.Result{}, err
	}
	texts, err := readItems(in.Items)
	if err != nil {
		return job.Result{}, err
	}
	config := in.Serving
	if in.Compose != nil {
		one, err := compose.RunBeside(ctx, j, *in.Compose, in.Beside)
		if err != nil {
			return job.Result{}, err
		}
		defer one.Close()
		if config, err = redirected(config, one); err != nil {
			return job.Result{}, err
		}
	}
	lines, err := ask(ctx, j, config, texts, "the candidate")
	if err != nil {
		return job.Result{}, err
	}
	if err := write(in.Out, lines); err != nil {
		return job.Result{}, err
	}
	detail := "the candidate answered " + text.Plural(len(lines), "held-out item")
	if in.Base != nil {
		if err := in.Base.ask(ctx, j, texts); err != nil {
			return job.Result{}, err
		}
		detail += ", and so did its base model " + in.Base.Model
	}
	return job.Result{Class: store.StepOK, Detail: detail, Data: job.Encode(len(lines))}, nil
}

// redirected returns the configuration with its URLs changed to those of a one-off container.
func redirected(c serving.Config, one *compose.OneOff) (serving.Config, error) {
	var err error
	if c.Classify, err = one.Redirect(c.Classify); err == nil && c.Batch != nil {
		batch := *c.Batch
		batch.URL, err = one.Redirect(batch.URL)
		c.Batch = &batch
	}
	return c, err
}

// ask gets the answers of one model to all texts.
func ask(ctx context.Context, j job.Job, config serving.Config, texts []serving.Text, whom string) ([]line, error) {
	scorer := serving.NewScorer(config)
	defer scorer.Close()
	targets := config.List()
	lines := make([]line, 0, len(texts))
	every := max(1, len(texts)/50)
	answered := map[[2]string]bool{} // by item and hash of its text
	err := insist(ctx, config, func() (bool, error) {
		before := len(lines)
		left := slices.DeleteFunc(slices.Clone(texts), func(t serving.Text) bool { return answered[[2]string{t.Item, t.Hash}] })
		err := scorer.Score(ctx, left, func(t serving.Text, a serving.Answer) {
			answered[[2]string{t.Item, t.Hash}] = true
			answers := map[string]any{}
			for _, target := range targets {
				if value, ok := a.Values[target.Name]; ok {
					answers[target.Name] = target.JSON(value)
				}
			}
			l := line{ID: t.Item, TextHash: t.Hash, Answers: answers, Confidence: a.Confidence}
			if a.Values.IsFormatError() {
				l.Answers, l.Error = nil, "format"
			}
			lines = append(lines, l)
			if len(lines)%every == 0 {
				j.Progress(0.2+0.8*float64(len(lines))/float64(len(texts)),
					fmt.Sprintf("%s: %d of %d items", whom, len(lines), len(texts)))
			}
		})
		return len(lines) > before, err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", whom, err)
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.TextHash, b.TextHash)) })
	return lines, nil
}

func readItems(path string) ([]serving.Text, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []serving.Text
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var it Item
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, serving.Text{Item: it.ID, Hash: it.TextHash, Fields: it.Text})
	}
	return out, lines.Err()
}

func write(path string, lines []line) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return renameio.WriteFile(path, b.Bytes(), 0o644)
}
