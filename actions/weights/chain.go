package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/internal/text"
)

// Chain names the files that lead from a training to the deployed model. A part that is empty is not checked.
type Chain struct {
	Base    string `json:"base,omitempty"`    // directory of the base model, with its weights as safetensors
	Adapter string `json:"adapter,omitempty"` // directory of the adapter
	Merged  string `json:"merged,omitempty"`  // directory of the merged model, with its weights as safetensors
	GGUF    string `json:"gguf,omitempty"`    // path of the GGUF file
	// Template means that the deployed model has a configured chat template, so that the GGUF file needs none.
	Template bool `json:"template,omitempty"`
}

// LinkError names the first bad link of a chain.
type LinkError struct {
	Link  string // adapter, merged or gguf
	Cause error
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("the first faulty link of the chain adapter -> merged -> GGUF is %s: %v", e.Link, e.Cause)
}

func (e *LinkError) Unwrap() error { return e.Cause }

// config is the part of a model's config.json that this package needs.
type config struct {
	Type         string          `json:"model_type"`
	Hidden       uint64          `json:"hidden_size"`
	Layers       uint64          `json:"num_hidden_layers"`
	Quantization json.RawMessage `json:"quantization_config"`
}

// model is a model in a directory.
type model struct {
	config
	*Safetensors
}

func openModel(dir string) (*model, error) {
	at := filepath.Join(dir, "config.json")
	b, err := readBounded(at, 16<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: no model was saved there", at)
	}
	m := &model{}
	if err == nil {
		err = json.Unmarshal(b, &m.config)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	switch m.Safetensors, err = OpenSafetensors(dir, "model"); {
	case errors.Is(err, fs.ErrNotExist) && pickled(dir, "pytorch_model"):
		return nil, fmt.Errorf("%s holds the weights as a pickle, which cannot be inspected: save them with safe_serialization=True",
			dir)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: a part of the model is missing; was the disk full?", err)
	case err != nil:
		return nil, err
	}
	return m, nil
}

// links are the opened parts of a chain; a part that is not given is nil.
type links struct {
	adapter      *Adapter
	base, merged *model
	said         []string
}

// Check checks that each part is complete and was made from the part before it. It returns its findings as sentences.
// The error is a *LinkError.
func (c Chain) Check() (found []string, err error) {
	l := &links{}
	defer l.close()
	for _, part := range []struct {
		link string
		do   func() error
	}{
		{"adapter", func() error { return l.openAdapter(c) }},
		{"merged", func() error { return l.openMerged(c) }},
		{"gguf", func() error { return l.checkGGUF(c) }},
	} {
		if err := part.do(); err != nil {
			return l.said, &LinkError{Link: part.link, Cause: err}
		}
	}
	return l.said, nil
}

func (l *links) close() {
	if l.adapter != nil {
		l.adapter.Close()
	}
	for _, m := range []*model{l.base, l.merged} {
		if m != nil {
			m.Close()
		}
	}
}

func (l *links) say(format string, args ...any) {
	l.said = append(l.said, fmt.Sprintf(format, args...))
}

func (l *links) openAdapter(c Chain) (err error) {
	if c.Adapter == "" {
		return nil
	}
	if l.adapter, err = OpenAdapter(c.Adapter); err != nil {
		return err
	}
	l.say("adapter of rank %d for %s of %s", l.adapter.Rank, text.Plural(len(l.adapter.Modules), "module"), l.adapter.Base)
	return nil
}

func (l *links) openMerged(c Chain) (err error) {
	if c.Base != "" {
		if l.base, err = openModel(c.Base); err != nil {
			return fmt.Errorf("base: %w", err)
		}
	}
	if c.Merged == "" {
		return nil
	}
	if l.merged, err = openModel(c.Merged); err != nil {
		return err
	}
	if q := strings.TrimSpace(string(l.merged.Quantization)); q != "" && q != "null" {
		return errors.New("it is quantised (quantization_config): merge the adapter into the 16-bit base model")
	}
	l.say("merged model %s of %s and %d layers", l.merged.Type, text.Plural(len(l.merged.Names()), "tensor"), l.merged.Layers)
	if l.adapter == nil {
		return nil
	}
	return l.checkMerged()
}

func (l *links) checkGGUF(c Chain) error {
	if c.GGUF == "" {
		return nil
	}
	g, err := OpenGGUF(c.GGUF)
	if err == nil {
		err = g.Check(c.Template)
	}
	if err != nil {
		return err
	}
	l.say("GGUF %s %s of %s, %s", g.Architecture(), g.FileType(), text.Plural(len(g.Tensors), "tensor"), text.Bytes(g.Size))
	if l.merged == nil {
		return nil
	}
	for _, n := range []struct {
		what      string
		have, was uint64
	}{
		{"number of layers", g.Number("block_count"), l.merged.Layers},
		{"hidden size", g.Number("embedding_length"), l.merged.Hidden},
	} {
		if n.was != 0 && n.have != n.was {
			return fmt.Errorf("%s: its %s is %d, but that of the merged model is %d: the file was made from another model",
				c.GGUF, n.what, n.have, n.was)
		}
	}
	file, err := os.Open(c.GGUF)
	if err != nil {
		return err
	}
	defer file.Close()
	return l.compareGGUF(g, file)
}

// Check finds faults that prevent the model from being loaded or make its answers useless. If template is set, the file
// needs no chat template.
func (m GGUF) Check(template bool) error {
	embeddings, ok := m.Tensor("token_embd.weight")
	last := fmt.Sprintf("blk.%d.", m.Number("block_count")-1)
	switch {
	case m.Architecture() == "":
		return errors.New("it has no general.architecture: is it an adapter, or only a tokenizer?")
	case m.Text("general.type") == "adapter":
		return errors.New("it is an adapter, not a model: merge it before the conversion")
	case len(m.Tensors) == 0:
		return errors.New("it has no weights: it was converted with --vocab-only")
	case m.Text("tokenizer.ggml.model") == "" || m.Tokens() == 0:
		return errors.New("it has no tokenizer: convert a directory that has the tokenizer's files beside the weights")
	case !ok:
		return errors.New("it has no tensor token_embd.weight: it cannot process text")
	case len(embeddings.Dims) != 2 || embeddings.Dims[1] != m.Tokens():
		return fmt.Errorf("the tokenizer has %d tokens, but the weights have %v: they belong to different models, and loading would fail",
			m.Tokens(), embeddings.Dims)
	case m.Number("block_count") == 0 || !m.hasPrefix(last):
		return fmt.Errorf("it should have %d layers (%s.block_count), but the last one is missing",
			m.Number("block_count"), m.Architecture())
	case m.ChatTemplate() == "" && !template:
		return errors.New("it has no chat template, and serving.ollama names none: its answers would be useless; save the tokenizer with its chat template, or set serving.ollama.template_file")
	}
	return nil
}

func (m GGUF) hasPrefix(prefix string) bool {
	for _, t := range m.Tensors {
		if strings.HasPrefix(t.Name, prefix) {
			return true
		}
	}
	return false
}
