package weights

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	downModule  = "model.layers.1.mlp.down_proj"
	queryModule = "model.layers.0.self_attn.q_proj"
)

// parts are the parts of a chain: adapter, base, merged model and GGUF.
type parts struct {
	config string
	a, b   map[string]matrix // the adapter's matrices, by module
	base   map[string]matrix
	scale  float32 // with which the adapter is merged
	gguf   gguf
	from   map[string]matrix // the weights that are converted to GGUF; nil: those of the merged model
	bf     bool              // store the merged model as BF16
}

func newParts() *parts {
	p := &parts{
		config: `{"peft_type":"LORA","base_model_name_or_path":"Qwen/Qwen3-8B","r":4,"lora_alpha":8,"target_modules":["q_proj","down_proj"]}`,
		scale:  2, gguf: sound(1), a: map[string]matrix{}, b: map[string]matrix{}, base: map[string]matrix{}, bf: true,
	}
	for i, module := range []string{downModule, queryModule} {
		in := 64
		if module == downModule {
			in = 128
		}
		p.a[module] = random(uint64(10+i), "base_model.model."+module+".lora_A.weight", 4, in)
		p.b[module] = random(uint64(20+i), "base_model.model."+module+".lora_B.weight", 64, 4)
		p.base[module] = random(uint64(30+i), module+".weight", 64, in)
	}
	return p
}

// merged returns the base with the adapter added.
func (p *parts) merged() map[string]matrix {
	out := map[string]matrix{}
	for module, base := range p.base {
		m := matrix{name: base.name}
		for row := range base.rows {
			sum := append([]float32{}, base.rows[row]...)
			for r, b := range p.b[module].rows[row] {
				for i, a := range p.a[module].rows[r] {
					sum[i] += p.scale * b * a
				}
			}
			m.rows = append(m.rows, sum)
		}
		out[module] = m
	}
	return out
}

// write writes the parts into a new directory, and returns their chain.
func (p *parts) write(t *testing.T) Chain {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	var adapter, base, merged []matrix
	sum := p.merged()
	for _, module := range []string{downModule, queryModule} {
		adapter = append(adapter, p.a[module], p.b[module])
		base, merged = append(base, p.base[module]), append(merged, sum[module])
	}
	write(t, at("adapter"), "adapter_config.json", []byte(p.config))
	write(t, at("adapter"), "adapter_model.safetensors", safetensorsOf(false, adapter...))
	config := []byte(`{"model_type":"qwen3","hidden_size":64,"num_hidden_layers":2,"quantization_config":null}`)
	write(t, at("base"), "config.json", config)
	write(t, at("base"), "model.safetensors", safetensorsOf(false, base...))
	write(t, at("merged"), "config.json", config)
	index := `{"weight_map":{%q:"model-00001-of-00002.safetensors",%q:"model-00002-of-00002.safetensors"}}`
	write(t, at("merged"), "model.safetensors.index.json", fmt.Appendf(nil, index, merged[0].name, merged[1].name))
	write(t, at("merged"), "model-00001-of-00002.safetensors", safetensorsOf(p.bf, merged[0]))
	write(t, at("merged"), "model-00002-of-00002.safetensors", safetensorsOf(p.bf, merged[1]))
	from := sum
	if p.from != nil {
		from = p.from
	}
	for i, tensor := range p.gguf.tensors {
		for module, name := range map[string]string{downModule: "blk.1.ffn_down.weight", queryModule: "blk.0.attn_q.weight"} {
			if tensor.name == name {
				p.gguf.tensors[i].rows = from[module].rows
			}
		}
	}
	write(t, dir, "model.gguf", p.gguf.bytes())
	return Chain{Base: at("base"), Adapter: at("adapter"), Merged: at("merged"), GGUF: at("model.gguf")}
}

func TestChain(t *testing.T) {
	t.Parallel()
	c := newParts().write(t)
	found, err := c.Check()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(found, "\n")
	for _, want := range []string{"adapter of rank 4 for 2 modules of Qwen/Qwen3-8B", "the base with the adapter added", "has the merged model's weights (compared in 2 modules)", "GGUF qwen3 Q8_0"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in:\n%s", want, all)
		}
	}
	for _, part := range []Chain{
		{GGUF: c.GGUF}, {Adapter: c.Adapter}, {Merged: c.Merged, GGUF: c.GGUF}, {Adapter: c.Adapter, Merged: c.Merged},
	} {
		if _, err := part.Check(); err != nil {
			t.Errorf("%+v: %v", part, err)
		}
	}
}

// The error names the first faulty link and its fault.
func TestFirstBadLink(t *testing.T) {
	t.Parallel()
	zero := func(m matrix) matrix {
		for _, row := range m.rows {
			clear(row)
		}
		return m
	}
	alpha := func(old, replaced string) func(*parts) {
		return func(p *parts) { p.config = strings.Replace(p.config, old, replaced, 1) }
	}
	remove := func(at func(Chain) string) func(Chain) error {
		return func(c Chain) error { return os.RemoveAll(at(c)) }
	}
	shard := func(c Chain) string { return filepath.Join(c.Merged, "model-00002-of-00002.safetensors") }
	adapterFile := func(c Chain) string { return filepath.Join(c.Adapter, "adapter_model.safetensors") }
	for name, c := range map[string]struct {
		link, says string
		change     func(*parts)
		spoil      func(Chain) error
	}{
		"untrained": {"adapter", "the adapter changes nothing", func(p *parts) {
			p.b[downModule], p.b[queryModule] = zero(p.b[downModule]), zero(p.b[queryModule])
		}, nil},
		"diverged": {"adapter", "NaN: the training diverged", func(p *parts) {
			p.a[downModule].rows[1][3] = float32(math.NaN())
		}, nil},
		"infinite": {"adapter", "+Inf", func(p *parts) { p.b[queryModule].rows[1][3] = float32(math.Inf(1)) }, nil},
		"prefix":   {"adapter", `target module "c_attn" has no weights`, alpha("q_proj", "c_attn"), nil},
		"config":   {"adapter", "not a LoRA adapter", alpha("LORA", "IA3"), nil},
		"no adapter": {
			"adapter", "saved no adapter", nil,
			remove(func(c Chain) string { return c.Adapter }),
		},
		"pickle": {"adapter", "safe_serialization", nil, func(c Chain) error {
			return os.Rename(adapterFile(c), filepath.Join(c.Adapter, "adapter_model.bin"))
		}},
		"unmerged": {"merged", "the adapter was not merged", func(p *parts) { p.scale, p.bf = 0, false }, nil},
		"scaling":  {"merged", "use_rslora", alpha(`"r":4`, `"r":4,"use_rslora":true`), nil},
		"no shard": {"merged", "a part of the model is missing", nil, remove(shard)},
		"pickled model": {"merged", "safe_serialization", nil, func(c Chain) error {
			return errors.Join(os.Remove(filepath.Join(c.Merged, "model.safetensors.index.json")),
				os.Rename(shard(c), filepath.Join(c.Merged, "pytorch_model.bin")))
		}},
		"cut shard": {"merged", "cut off", nil, func(c Chain) error { return os.Truncate(shard(c), 900) }},
		"quantised": {"merged", "16-bit base model", nil, func(c Chain) error {
			return os.WriteFile(filepath.Join(c.Merged, "config.json"), []byte(`{"quantization_config":{"bits":4}}`), 0o600)
		}},
		"base converted": {"gguf", "the base was converted", func(p *parts) {
			alpha(`"lora_alpha":8`, `"lora_alpha":0.8`)(p)
			p.from, p.scale = p.base, 0.2
		}, nil},
		"other converted": {"gguf", "is not the merged model's", func(p *parts) { p.from = strangers() }, nil},
		"gguf cut":        {"gguf", "it was cut off", nil, func(c Chain) error { return os.Truncate(c.GGUF, 20_000) }},
		"gguf of another": {"gguf", "its number of layers is 1, but that of the merged model is 2", func(p *parts) {
			p.gguf.keys["qwen3.block_count"] = 1
		}, nil},
		"gguf is missing": {"gguf", "no such file", nil, remove(func(c Chain) string { return c.GGUF })},
		"gguf a directory": {"gguf", "not a regular file", nil, func(c Chain) error {
			return errors.Join(os.Remove(c.GGUF), os.Mkdir(c.GGUF, 0o700))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParts()
			if c.change != nil {
				c.change(p)
			}
			chain := p.write(t)
			if c.spoil != nil {
				if err := c.spoil(chain); err != nil {
					t.Fatal(err)
				}
			}
			expectLink(t, chain, c.link, c.says)
		})
	}
}

// If nothing of the GGUF file can be compared, the finding has the reason.
func TestNotCompared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says   string
		change func(*parts)
	}{
		{"no module was found in both under a known name", func(p *parts) {
			for i, m := range p.gguf.tensors {
				p.gguf.tensors[i].name = strings.NewReplacer("attn_q", "attn_qkv", "ffn_down", "ffn").Replace(m.name)
			}
		}},
		{"weights of type I32 cannot be read", func(p *parts) { p.gguf.kind = 26 }},
	} {
		found, err := newPartsWith(c.change).write(t).Check()
		want := "the GGUF file and the merged model are not compared: " + c.says
		if err != nil || !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%q, %v; want %q", found, err, want)
		}
	}
}

// The keys of alpha_pattern are regular expressions, and the first one that fits a module is used, as in PEFT.
func TestAlphaPattern(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		`{"layers\\.[0-9]+\\.(mlp|self_attn)\\.(down|q)_proj":8}`, `{"q_proj":8,"down_proj":8,".*_proj":99}`, `{"^model.layers":99,"x":1,".*":8}`,
	} {
		chain := newPartsWith(func(p *parts) {
			p.config = strings.Replace(p.config, `"lora_alpha":8`, `"lora_alpha":1,"alpha_pattern":`+pattern, 1)
		}).write(t)
		if _, err := chain.Check(); err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func newPartsWith(change func(*parts)) *parts {
	p := newParts()
	change(p)
	return p
}

// An adapter without one of its matrices is reported as not saved completely.
func TestHalfAnAdapter(t *testing.T) {
	t.Parallel()
	p, dir := newParts(), t.TempDir()
	write(t, dir, "adapter_config.json", []byte(p.config))
	write(t, dir, "adapter_model.safetensors", safetensorsOf(false, p.a[downModule], p.a[queryModule], p.b[queryModule]))
	expectLink(t, Chain{Adapter: dir}, "adapter", "only one of lora_A and lora_B")
}

func expectLink(t *testing.T, c Chain, link, says string) {
	t.Helper()
	_, err := c.Check()
	var bad *LinkError
	if !errors.As(err, &bad) || bad.Link != link || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, want %s: %q", err, link, says)
	}
}

func FuzzSafetensors(f *testing.F) {
	f.Add(safetensorsOf(false, random(1, "a", 2, 3)))
	f.Add(
		safetensorsOf(
			true,
			random(1, "base_model.model.x.lora_A.weight", 2, 3),
			random(2, "base_model.model.x.lora_B.weight", 3, 2),
		),
	)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		write(t, dir, "adapter_model.safetensors", raw)
		write(t, dir, "adapter_config.json", []byte(`{"peft_type":"LORA","r":2,"lora_alpha":1}`))
		a, err := OpenAdapter(dir)
		if err != nil {
			return
		}
		defer a.Close()
		for _, module := range a.Modules {
			_, _ = a.row(module, 0)
		}
	})
}
