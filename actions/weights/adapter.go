package weights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/text"
)

// Adapter is a trained LoRA adapter: a change of the weights of a base model.
type Adapter struct {
	Dir  string
	Base string // the model it was trained on: a directory, or a name on a hub
	Rank int
	// Modules are the matrices that it changes, such as model.layers.0.self_attn.q_proj.
	Modules []string
	files   *Safetensors
	pairs   map[string]pair
	config  adapterConfig
}

// pair holds the change of one matrix: scale times B times A.
type pair struct{ a, b *Matrix }

// adapterConfig is the part of adapter_config.json that this package needs.
type adapterConfig struct {
	Type         string          `json:"peft_type"`
	Base         string          `json:"base_model_name_or_path"`
	Rank         int             `json:"r"`
	Alpha        float64         `json:"lora_alpha"`
	RankScaled   bool            `json:"use_rslora"`
	Decomposed   bool            `json:"use_dora"`
	Targets      json.RawMessage `json:"target_modules"`
	AlphaPattern alphaPattern    `json:"alpha_pattern"`
}

// alphaPattern has the alphas of some modules, in the order of the file: the first pattern that matches applies.
type alphaPattern []moduleAlpha

type moduleAlpha struct {
	module *regexp.Regexp
	alpha  float64
}

// UnmarshalJSON reads an object from regular expressions to alphas. As in PEFT, an expression matches a whole module name
// or its end after a dot. An expression that Go cannot compile is read as a plain name.
func (p *alphaPattern) UnmarshalJSON(b []byte) error {
	var alphas map[string]float64
	if err := json.Unmarshal(b, &alphas); err != nil || alphas == nil {
		return err
	}
	keys := json.NewDecoder(bytes.NewReader(b))
	_, _ = keys.Token() // the opening brace
	for keys.More() {
		key, _ := keys.Token()
		_, _ = keys.Token() // the alpha
		name, _ := key.(string)
		module, err := regexp.Compile(`^(?:.*\.)?(?:` + name + `)$`)
		if err != nil {
			module = regexp.MustCompile(`^(?:.*\.)?` + regexp.QuoteMeta(name) + `$`)
		}
		*p = append(*p, moduleAlpha{module, alphas[name]})
	}
	return nil
}

const adapterStem = "adapter_model"

// OpenAdapter opens an adapter that PEFT has saved, and checks that it is complete, trained, and without infinite or
// undefined weights. Close it after use.
func OpenAdapter(dir string) (*Adapter, error) {
	a := &Adapter{Dir: dir, pairs: map[string]pair{}}
	at := filepath.Join(dir, "adapter_config.json")
	b, err := readBounded(at, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: the training saved no adapter there", at)
	}
	if err == nil {
		err = json.Unmarshal(b, &a.config)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if a.config.Type != "LORA" || a.config.Rank < 1 {
		return nil, fmt.Errorf("%s: peft_type %q of rank %d is not a LoRA adapter", at, a.config.Type, a.config.Rank)
	}
	a.Base, a.Rank = a.config.Base, a.config.Rank
	if a.files, err = OpenSafetensors(dir, adapterStem); err != nil {
		if pickled(dir, adapterStem) {
			return nil, fmt.Errorf("%s holds the adapter as a pickle, which cannot be inspected: save it with safe_serialization=True",
				dir)
		}
		return nil, err
	}
	if err := a.read(); err != nil {
		a.Close()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return a, nil
}

// Close closes the files.
func (a *Adapter) Close() { a.files.Close() }

// read finds the matrices A and B of each module, and checks them.
func (a *Adapter) read() error {
	for _, name := range a.files.Names() {
		m, _ := a.files.Matrix(name)
		module, side, ok := loraName(name)
		if !ok {
			continue // a module that was trained completely, or a bias
		}
		p := a.pairs[module]
		if side == "A" {
			p.a = &m
		} else {
			p.b = &m
		}
		a.pairs[module] = p
	}
	a.Modules = slices.Sorted(maps.Keys(a.pairs))
	if len(a.Modules) == 0 {
		return fmt.Errorf("none of its %s belongs to a LoRA adapter", text.Plural(len(a.files.Names()), "tensor"))
	}
	for _, module := range a.Modules {
		p := a.pairs[module]
		switch {
		case p.a == nil || p.b == nil:
			return fmt.Errorf("module %s has only one of lora_A and lora_B: it was not saved completely", module)
		case len(p.a.Shape) != 2 || len(p.b.Shape) != 2 || p.a.Shape[0] != p.b.Shape[1]:
			return fmt.Errorf("module %s: lora_A of shape %v and lora_B of shape %v do not fit together", module, p.a.Shape,
				p.b.Shape)
		}
	}
	if err := a.targeted(); err != nil {
		return err
	}
	return a.trained()
}

// loraName splits a name such as base_model.model.MODULE.lora_A.weight into MODULE and A.
func loraName(name string) (module, side string, ok bool) {
	name = strings.TrimSuffix(name, ".weight")
	name = strings.TrimSuffix(name, ".default")
	module, side, ok = strings.Cut(strings.TrimPrefix(name, "base_model.model."), ".lora_")
	return module, side, ok && (side == "A" || side == "B")
}

// targeted checks that each target module of the configuration has weights.
func (a *Adapter) targeted() error {
	var targets []string
	if json.Unmarshal(a.config.Targets, &targets) != nil {
		return nil //nolint:nilerr // a pattern, or none: the weights show which modules it matched
	}
	for _, target := range targets {
		if !slices.ContainsFunc(a.Modules, func(m string) bool { return m == target || strings.HasSuffix(m, "."+target) }) {
			return fmt.Errorf("target module %q has no weights: does the base model have modules of this name?", target)
		}
	}
	return nil
}

// trained checks that the adapter changes something: LoRA starts with B all zero.
func (a *Adapter) trained() error {
	zero := 0
	for _, module := range a.Modules {
		p := a.pairs[module]
		noA, err := p.a.zero()
		if err != nil {
			return err
		}
		noB, err := p.b.zero()
		if err != nil {
			return err
		}
		if noA || noB {
			zero++
		}
	}
	if zero == len(a.Modules) {
		return fmt.Errorf("lora_A or lora_B is zero in every module (%s): the adapter changes nothing; was it saved before the training, or without any training step?",
			text.Plural(zero, "module"))
	}
	return nil
}

// scale returns the factor by which B times A is multiplied.
func (a *Adapter) scale(module string) float64 {
	rank, alpha := float64(a.pairs[module].a.Shape[0]), a.config.Alpha
	for _, p := range a.config.AlphaPattern {
		if p.module.MatchString(module) {
			alpha = p.alpha
			break
		}
	}
	if a.config.RankScaled {
		rank = math.Sqrt(rank)
	}
	return alpha / rank
}

// row returns the change of one row of a module's matrix.
func (a *Adapter) row(module string, row uint64) ([]float64, error) {
	p := a.pairs[module]
	b, err := p.b.Row(row)
	if err != nil {
		return nil, err
	}
	out := make([]float64, p.a.Shape[1])
	scale := a.scale(module)
	for r, weight := range b {
		if weight == 0 {
			continue
		}
		part, err := p.a.Row(uint64(r))
		if err != nil {
			return nil, err
		}
		for i, w := range part {
			out[i] += scale * float64(weight) * float64(w)
		}
	}
	return out, nil
}

// loudest returns the row of B that has the largest weights. It searches only the first rows, up to the number most.
func (a *Adapter) loudest(module string, most uint64) (best uint64, err error) {
	b := a.pairs[module].b
	var high float64
	for row := range min(b.Shape[0], most) {
		weights, err := b.Row(row)
		if err != nil {
			return 0, err
		}
		if n := energy(weights); n > high {
			best, high = row, n
		}
	}
	return best, nil
}

func energy(row []float32) (sum float64) {
	for _, w := range row {
		sum += float64(w) * float64(w)
	}
	return sum
}
