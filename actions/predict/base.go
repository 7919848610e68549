package predict

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/retraind/retraind/actions/job"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
)

// Base is the model on an Ollama server from which the candidate was trained.
type Base struct {
	Model   string         `json:"model"`
	Serving serving.Config `json:"serving"`
	Out     string         `json:"out"` // file for its answers
}

// ask gets the base's answers to the texts. It never makes the server download the model.
func (b *Base) ask(ctx context.Context, j job.Job, texts []serving.Text) error {
	if err := b.there(ctx); err != nil {
		return err
	}
	lines, err := ask(ctx, j, b.Serving, texts, "the base model "+b.Model)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(b.Out), 0o700)
	}
	if err != nil {
		return err
	}
	return write(b.Out, lines)
}

func (b *Base) there(ctx context.Context) error {
	c, err := ollama.New(b.Serving.Ollama.URL)
	if err != nil {
		return err
	}
	defer c.Close()
	var list []ollama.Model
	err = insist(ctx, b.Serving, func() (bool, error) {
		if list, err = c.Models(ctx); errors.Is(err, ollama.ErrAway) {
			err = fmt.Errorf("%w: %w", serving.ErrAsleep, err)
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.Name == ollama.Tagged(b.Model) {
			return nil
		}
	}
	return fmt.Errorf("the Ollama server at %s has no model %s (base_model): fetch it with ollama pull %s",
		c.URL(), b.Model, b.Model)
}
