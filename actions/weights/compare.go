package weights

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/text"
)

// The number of modules to compare, and the number of rows to search for the one with the largest change.
const (
	maxModules = 12
	maxLooked  = 512
)

// sampled returns the modules of the adapter to compare, spread over the layers.
func (l *links) sampled() []string {
	all := l.adapter.Modules
	if len(all) <= maxModules {
		return all
	}
	out := make([]string, 0, maxModules)
	for i := range maxModules {
		out = append(out, all[i*(len(all)-1)/(maxModules-1)])
	}
	return out
}

// matrix returns the matrix of a module. It also tries the name with and without the prefix "model.", in which models
// differ.
func (m *model) matrix(module string) (Matrix, bool) {
	for _, name := range []string{module, strings.TrimPrefix(module, "model."), "model." + module} {
		if w, ok := m.Matrix(name + ".weight"); ok {
			return w, true
		}
	}
	return Matrix{}, false
}

// checkMerged checks that the merged model is the base with the adapter added. Without the base, it checks only that
// the modules exist.
func (l *links) checkMerged() error {
	var effect, missing, noise float64
	changed := false
	for _, module := range l.sampled() {
		merged, ok := l.merged.matrix(module)
		if !ok {
			return fmt.Errorf("it has no %s, which the adapter was trained for: it belongs to another model", module)
		}
		if l.base == nil {
			continue
		}
		base, ok := l.base.matrix(module)
		if !ok {
			return fmt.Errorf("base: it has no %s, which the adapter was trained for: it belongs to another model", module)
		}
		row, err := l.adapter.loudest(module, maxLooked)
		if err != nil {
			return err
		}
		was, err := base.Row(row)
		if err != nil {
			return fmt.Errorf("base: %w", err)
		}
		is, err := merged.Row(row)
		if err != nil {
			return err
		}
		added, err := l.adapter.row(module, row)
		if err != nil {
			return err
		}
		if len(was) != len(is) || len(is) != len(added) {
			return fmt.Errorf("module %s has rows of %d numbers in the merged model, %d in the base and %d in the adapter: they belong to different models",
				module, len(is), len(was), len(added))
		}
		for i := range is {
			rest := float64(is[i]) - float64(was[i]) - added[i]
			rounding := float64(is[i]) / 256 // of bfloat16, the coarsest usual type
			changed = changed || is[i] != was[i]
			effect, missing, noise = effect+added[i]*added[i], missing+rest*rest, noise+rounding*rounding
		}
	}
	switch {
	case l.base == nil:
		return nil
	case !changed:
		return errors.New("its weights are those of the base: the adapter was not merged")
	case l.adapter.config.Decomposed: // DoRA: the merge is not a plain sum
	case missing > effect/4+noise:
		return fmt.Errorf("it is not the base with the adapter added: %.0f%% of the adapter's effect is missing or wrong; merge into exactly the base that was trained on, in 16 bits, and with the adapter's scaling (use_rslora)",
			100*min(missing/effect, 9.99))
	}
	l.say("the merged model is the base with the adapter added (compared in %s)", text.Plural(len(l.sampled()), "module"))
	return nil
}

// ggufNames are the names of a layer's modules in a GGUF file.
var ggufNames = map[string]string{
	"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
	"self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}

// ggufName returns the name of a module's tensor in a GGUF file of an architecture; "" if it is unknown, or the
// conversion reorders its rows.
func ggufName(architecture, module string) string {
	_, rest, ok := strings.Cut("."+module, ".layers.")
	layer, name, cut := strings.Cut(rest, ".")
	short := ggufNames[name]
	if !ok || !cut || short == "" || architecture == "llama" && (short == "attn_q" || short == "attn_k") {
		return ""
	}
	return "blk." + layer + "." + short + ".weight"
}

// tolerance is the relative squared error that conversion to a type may cause.
var tolerance = map[Type]float64{F32: 1e-5, F16: 1e-5, BF16: 1e-4, Q8_0: 2e-3, Q4_0: 0.1}

// compareGGUF checks that the file has the weights of the merged model, and not those of the base.
func (l *links) compareGGUF(g GGUF, file io.ReaderAt) error {
	compared, why := 0, "no module was found in both under a known name"
	var toMerged, toBase float64
	var far error // the error for the first module that differs too much
	for _, module := range l.layers(g) {
		t, _ := g.Tensor(ggufName(g.Architecture(), module))
		merged, ok := l.merged.matrix(module)
		if !ok {
			continue
		}
		if tolerance[t.Type] == 0 {
			why = fmt.Sprintf("weights of type %v cannot be read", t.Type)
			continue
		}
		row := uint64(0)
		if l.adapter != nil {
			var err error
			if row, err = l.adapter.loudest(module, maxLooked); err != nil {
				return err
			}
		}
		have, err := g.Row(file, t, row)
		if err != nil {
			return err
		}
		want, err := merged.Row(row)
		if err != nil {
			return fmt.Errorf("merged: %w", err)
		}
		lost, err := distance(have, want)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if all := energy(want); lost > tolerance[t.Type]*all && far == nil {
			far = fmt.Errorf("%s is not the merged model's %s: the relative squared error is %.2g, and %v allows %.2g; convert the merged model again",
				t.Name, module, lost/all, t.Type, tolerance[t.Type])
		}
		compared++
		toMerged += lost
		if l.base == nil {
			continue
		}
		if base, ok := l.base.matrix(module); ok {
			if was, err := base.Row(row); err == nil {
				d, _ := distance(have, was)
				toBase += d
			}
		}
	}
	switch {
	case compared == 0:
		l.say("the GGUF file and the merged model are not compared: %s", why)
	case l.base != nil && l.adapter != nil && 1.5*toBase < toMerged:
		return errors.New("its weights are nearer to the base than to the merged model: the base was converted, not the merged model")
	case far != nil:
		return far
	default:
		l.say("the GGUF file has the merged model's weights (compared in %s)", text.Plural(compared, "module"))
	}
	return nil
}

// layers returns the modules to compare in a GGUF file: those of the adapter, else those of the first layer.
func (l *links) layers(g GGUF) (out []string) {
	all := []string{}
	if l.adapter != nil {
		all = l.sampled()
	} else {
		for _, name := range slices.Sorted(maps.Keys(ggufNames)) {
			all = append(all, "model.layers.0."+name)
		}
	}
	for _, module := range all {
		if _, ok := g.Tensor(ggufName(g.Architecture(), module)); ok {
			out = append(out, module)
		}
	}
	return out
}

func distance(a, b []float32) (sum float64, err error) {
	if len(a) != len(b) {
		return 0, fmt.Errorf("its rows have %d numbers, those of the merged model %d", len(a), len(b))
	}
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return sum, nil
}
