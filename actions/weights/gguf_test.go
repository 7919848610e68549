package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
)

func TestReadGGUF(t *testing.T) {
	t.Parallel()
	raw := sound(1).bytes()
	m, err := ReadGGUF(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if m.Architecture() != "qwen3" || m.FileType() != "Q8_0" || m.Tokens() != 4 || m.Number("block_count") != 2 ||
		m.ChatTemplate() != "{{ messages }}" || len(m.Tensors) != 5 {
		t.Errorf("%+v", m)
	}
	if v, ok := m.Value("qwen3.rope.freq_base"); !ok || v.Number != 1e6 {
		t.Errorf("freq_base %+v", v)
	}
	if err := m.Check(false); err != nil {
		t.Error(err)
	}
	down, _ := m.Tensor("blk.1.ffn_down.weight")
	row, err := m.Row(bytes.NewReader(raw), down, 63)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range sound(1).tensors[4].rows[63] {
		if math.Abs(float64(w-row[i])) > 0.003 {
			t.Fatalf("number %d: %v is read as %v", i, w, row[i])
		}
	}
	if _, err := m.Row(bytes.NewReader(raw), down, 64); err == nil {
		t.Error("a row behind the last one is read")
	}
}

// A header that is cut off anywhere is an error, and each fault that a converter or a full disk causes has its own
// message.
func TestBadGGUF(t *testing.T) {
	t.Parallel()
	good := sound(1).bytes()
	for n := range 1200 { // the header
		if _, err := ReadGGUF(bytes.NewReader(good[:n]), int64(n)); err == nil {
			t.Fatalf("%d bytes are read as a whole file", n)
		}
	}
	with := func(change func(*gguf)) []byte {
		g := sound(1)
		change(&g)
		return g.bytes()
	}
	patched := func(at int, n uint64) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint64(b[at:], n)
		return b
	}
	for name, c := range map[string]struct {
		raw  []byte
		says string
	}{
		"empty":          {nil, "not a GGUF file"},
		"other":          {[]byte("PK\x03\x04 something else that is long enough"), `begins with "PK`},
		"big endian":     {append([]byte("GGUF\x00\x00\x00\x03"), good[8:]...), "version 50331648"},
		"version":        {append([]byte("GGUF\x01\x00\x00\x00"), good[8:]...), "version 1"},
		"many tensors":   {patched(8, 1<<60), "announces"},
		"many keys":      {patched(16, 1<<60), "announces"},
		"long key":       {patched(24, 1<<50), "cut off"},
		"truncated":      {good[:len(good)-40], `tensor "blk.1.ffn_down.weight" should end at byte`},
		"no tokenizer":   {with(func(g *gguf) { delete(g.keys, "tokenizer.ggml.tokens") }), "no tokenizer"},
		"vocabulary":     {with(func(g *gguf) { g.keys["tokenizer.ggml.tokens"] = []string{"a"} }), "has 1 tokens"},
		"no template":    {with(func(g *gguf) { delete(g.keys, "tokenizer.chat_template") }), "no chat template"},
		"no weights":     {with(func(g *gguf) { g.tensors = nil }), "no weights"},
		"adapter":        {with(func(g *gguf) { g.keys["general.type"] = "adapter" }), "merge it before"},
		"no layers":      {with(func(g *gguf) { g.keys["qwen3.block_count"] = 3 }), "should have 3 layers"},
		"architecture":   {with(func(g *gguf) { delete(g.keys, "general.architecture") }), "no general.architecture"},
		"twice":          {with(func(g *gguf) { g.tensors[2].name = g.tensors[1].name }), "listed twice"},
		"odd dimensions": {with(func(g *gguf) { g.kind = 12 }), "cannot have dimensions"},
	} {
		m, err := ReadGGUF(bytes.NewReader(c.raw), int64(len(c.raw)))
		if err == nil {
			err = m.Check(false)
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if _, err := ReadGGUF(bytes.NewReader([]byte("GIF8")), 4); !errors.Is(err, ErrNotGGUF) {
		t.Error(err)
	}
	m, err := ReadGGUF(
		bytes.NewReader(with(func(g *gguf) { delete(g.keys, "tokenizer.chat_template") })),
		int64(len(good)),
	)
	if err == nil && m.Check(true) != nil {
		t.Error("a template of the tag does not make up for a missing one")
	}
}

// Large counts in a small file do not allocate much memory.
func TestClaimsCostNoMemory(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString("GGUF")
	for _, v := range []any{
		uint32(3), uint64(1 << 17), uint64(1 << 15), uint64(1), byte('k'), uint32(Array), uint32(String), uint64(1 << 60),
		uint64(1 << 60),
	} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ReadGGUF(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil {
		t.Error("it is read")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<30 { // other tests run in parallel
		t.Errorf("%d bytes", grown)
	}
}

func TestHalf(t *testing.T) {
	t.Parallel()
	for bits, want := range map[uint16]float32{
		0: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0001: 5.9604645e-8, 0x3555: 0.33325195,
		0x7c00: float32(math.Inf(1)), 0x0400: 6.1035156e-5,
	} {
		if got := half(bits); got != want {
			t.Errorf("%#x is %v, want %v", bits, got, want)
		}
	}
	if got := half(0x7e00); got == got {
		t.Errorf("NaN is %v", got)
	}
}

func FuzzReadGGUF(f *testing.F) {
	f.Add(sound(1).bytes()[:1500])
	f.Add(sound(1).bytes())
	f.Add([]byte("GGUF\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ReadGGUF(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		_ = m.Check(false)
		for _, tensor := range m.Tensors {
			_, _ = m.Row(bytes.NewReader(raw), tensor, 0)
		}
	})
}
