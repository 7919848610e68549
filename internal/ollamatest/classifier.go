package ollamatest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Classifier describes a model that is a bag of words: it answers with the label for which most words of the text vote.
type Classifier struct {
	// Words maps a word, exactly as written, to the labels for which it votes. A label of a bool target is true or false.
	Words map[string][]string
	// Else has the label of texts without any of these words, one for each target. The default is the first of all labels
	// in alphabetical order.
	Else []string
	// Version is stored in the file, so that models with the same answers can have different files.
	Version string
	// Context is the length of the context in tokens; default 4096.
	Context int
	// Architecture is stored in the file instead of qwen3, for a file that cannot be loaded.
	Architecture string
	// Template is the chat template in the file, as a Jinja template; default none.
	Template string
	// Embeds makes it a model that returns vectors instead of answers: each word has a direction, which several words may
	// share, and the vector of a text is the mean of its words' vectors. Labels are ignored then.
	Embeds bool
}

const (
	hidden  = 64     // length of a token's vector
	heads   = 4      // attention heads, of 16 numbers each
	forward = 32     // width of the feed-forward layer, whose weights are 0
	vote    = 30     // weight of a word's vote; each token also has a constant 1
	leaning = 0.0002 // preference for Else: weaker than one word in a long text
)

// The dimensions of a token's vector before those of the labels.
const (
	always = iota // 1 in every token
	ended         // set in the tokens of labels, so that the answer ends after one
	first         // the first label's
)

// Labels returns all possible answers, sorted.
func (c Classifier) Labels() []string {
	set := map[string]bool{}
	for _, labels := range c.Words {
		for _, l := range labels {
			set[l] = true
		}
	}
	for _, l := range c.Else {
		set[l] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// GGUF returns the model file.
func (c Classifier) GGUF(t testing.TB) []byte {
	t.Helper()
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Encode returns the model file: one layer that weights all tokens equally, and a head that maps the mean to labels.
func (c Classifier) Encode() ([]byte, error) {
	labels := c.Labels()
	if len(labels) == 0 || len(labels) > hidden-first {
		return nil, fmt.Errorf("a classifier of %d labels: 1 to %d fit", len(labels), hidden-first)
	}
	v := c.vocabulary()
	var g gguf
	arch := c.Architecture
	if arch == "" {
		arch = "qwen3"
	}
	context := c.Context
	if context == 0 {
		context = 4096
	}
	g.key("general.architecture", arch)
	g.key("general.type", "model")
	g.key("general.name", "bag of words")
	g.key("general.file_type", 0)
	g.key("general.quantization_version", 2)
	for name, n := range map[string]int{
		"block_count": 1, "context_length": context, "embedding_length": hidden, "feed_forward_length": forward,
		"attention.head_count": heads, "attention.head_count_kv": heads,
		"attention.key_length": hidden / heads, "attention.value_length": hidden / heads,
	} {
		g.key(arch+"."+name, n)
	}
	if c.Embeds {
		g.key(arch+".pooling_type", 1) // mean
	}
	g.key(arch+".attention.layer_norm_rms_epsilon", 1e-6)
	g.key(arch+".rope.freq_base", 10000.0)
	g.key("tokenizer.ggml.model", "gpt2")
	g.key("tokenizer.ggml.pre", "qwen2")
	g.key("tokenizer.ggml.tokens", v.tokens)
	g.key("tokenizer.ggml.token_type", v.types)
	g.key("tokenizer.ggml.merges", []string{"a a"})
	g.key("tokenizer.ggml.bos_token_id", v.index["<|endoftext|>"])
	g.key("tokenizer.ggml.eos_token_id", v.index["<|im_end|>"])
	g.key("tokenizer.ggml.padding_token_id", v.index["<|endoftext|>"])
	g.key("tokenizer.ggml.add_bos_token", false)
	if c.Template != "" {
		g.key("tokenizer.chat_template", c.Template)
	}
	about, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	g.key(fakeKey, string(about)) // used by the fake server
	c.weights(&g, v, labels)
	return g.bytes(), nil
}

// vocabulary is the tokenizer's vocabulary.
type vocabulary struct {
	tokens []string
	types  []int32
	index  map[string]int
}

func (v *vocabulary) add(token string, kind int32) {
	if _, ok := v.index[token]; ok {
		return
	}
	v.index[token] = len(v.tokens)
	v.tokens, v.types = append(v.tokens, token), append(v.types, kind)
}

// vocabulary returns the tokens: every byte, and each word and each label, both alone and after a blank.
func (c Classifier) vocabulary() *vocabulary {
	const normal, control = 1, 3
	v := &vocabulary{index: map[string]int{}}
	for b := range 256 {
		v.add(string(byteRune(byte(b))), normal)
	}
	for _, w := range append(slices.Sorted(maps.Keys(c.Words)), c.Labels()...) {
		v.add(spelt(w), normal)
		v.add(spelt(" "+w), normal)
	}
	for _, s := range []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"} {
		v.add(s, control)
	}
	return v
}

// weights adds the tensors.
func (c Classifier) weights(g *gguf, v *vocabulary, labels []string) {
	direction := map[string]int{}
	for i, l := range labels {
		direction[l] = first + i
	}
	n := len(v.tokens)
	embedding, head := make([]float32, n*hidden), make([]float32, n*hidden)
	for i := range n {
		embedding[i*hidden+always] = 1
	}
	for i, w := range slices.Sorted(maps.Keys(c.Words)) {
		votes := c.Words[w]
		if c.Embeds {
			votes = nil
			for _, token := range []string{spelt(w), spelt(" " + w)} {
				embedding[v.index[token]*hidden+first+i%(hidden-first)] = vote
			}
		}
		for _, token := range []string{spelt(w), spelt(" " + w)} {
			for _, l := range votes {
				embedding[v.index[token]*hidden+direction[l]] = vote
			}
		}
	}
	lean := c.Else
	if len(lean) == 0 {
		lean = labels[:1]
	}
	for _, l := range labels {
		at := v.index[spelt(l)] * hidden
		embedding[at+ended] = vote
		head[at+direction[l]] = 1
		if slices.Contains(lean, l) {
			head[at+always] = leaning
		}
	}
	for token, i := range v.index { // an answer omits blanks that its schema allows but does not need
		if strings.Trim(token, spelt(" \t\r\n")) == "" {
			head[i*hidden+always] = -1
		}
	}
	head[v.index["<|im_end|>"]*hidden+ended] = 10
	head[v.index["<|im_end|>"]*hidden+always] = -0.001 // preferred to a blank, but not to any other allowed token

	square := func(keep func(int) bool) []float32 {
		m := make([]float32, hidden*hidden)
		for i := range hidden {
			if keep(i) {
				m[i*hidden+i] = 1
			}
		}
		return m
	}
	none := make([]float32, hidden*hidden)
	g.tensor("token_embd.weight", embedding, hidden, n)
	g.tensor("output_norm.weight", ones(hidden), hidden)
	g.tensor("output.weight", head, hidden, n)
	const block = "blk.0."
	g.tensor(block+"attn_norm.weight", ones(hidden), hidden)
	g.tensor(block+"attn_q.weight", none, hidden, hidden)
	g.tensor(block+"attn_k.weight", none, hidden, hidden)
	g.tensor(block+"attn_v.weight", square(func(i int) bool { return i != ended }), hidden, hidden)
	g.tensor(block+"attn_q_norm.weight", ones(hidden/heads), hidden/heads)
	g.tensor(block+"attn_k_norm.weight", ones(hidden/heads), hidden/heads)
	g.tensor(block+"attn_output.weight", square(func(int) bool { return true }), hidden, hidden)
	g.tensor(block+"ffn_norm.weight", ones(hidden), hidden)
	g.tensor(block+"ffn_gate.weight", none[:hidden*forward], hidden, forward)
	g.tensor(block+"ffn_up.weight", none[:hidden*forward], hidden, forward)
	g.tensor(block+"ffn_down.weight", none[:hidden*forward], forward, hidden)
}

func ones(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

// spelt returns a text in the characters that GPT-2's tokenizer uses for bytes.
func spelt(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(byteRune(s[i]))
	}
	return b.String()
}

// byteRune returns the character for a byte: the byte's own character if it is printable, otherwise the next free one
// from U+0100 on.
func byteRune(b byte) rune {
	printable := func(b byte) bool { return b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae }
	if printable(b) {
		return rune(b)
	}
	r := rune(0x100)
	for other := range int(b) {
		if !printable(byte(other)) {
			r++
		}
	}
	return r
}
