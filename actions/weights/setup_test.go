package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// matrix is a matrix with a name, stored by rows.
type matrix struct {
	name string
	rows [][]float32
}

func random(seed uint64, name string, rows, columns int) matrix {
	r := rand.New(rand.NewPCG(seed, uint64(rows*columns)))
	m := matrix{name: name}
	for range rows {
		row := make([]float32, columns)
		for i := range row {
			row[i] = float32(r.NormFloat64()) / 10
		}
		m.rows = append(m.rows, row)
	}
	return m
}

// safetensorsOf returns a safetensors file with the weights as BF16 if bf is set, else as F32.
func safetensorsOf(bf bool, list ...matrix) []byte {
	head, data := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, []byte{}
	for _, m := range list {
		begin, kind := len(data), "F32"
		for _, row := range m.rows {
			for _, w := range row {
				if bf {
					kind = "BF16"
					data = binary.LittleEndian.AppendUint16(data, uint16(math.Float32bits(w)>>16))
				} else {
					data = binary.LittleEndian.AppendUint32(data, math.Float32bits(w))
				}
			}
		}
		head[m.name] = map[string]any{
			"dtype": kind, "shape": []int{len(m.rows), len(m.rows[0])}, "data_offsets": []int{begin, len(data)},
		}
	}
	h, _ := json.Marshal(head)
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...), data...)
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// gguf is the content of a GGUF file, which it writes without a library, exactly as specified.
type gguf struct {
	keys    map[string]any
	tensors []matrix
	kind    Type
}

func (g gguf) bytes() []byte {
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	str := func(s string) { put(uint64(len(s))); b.WriteString(s) }
	b.WriteString("GGUF")
	put(uint32(3))
	put(uint64(len(g.tensors)))
	put(uint64(len(g.keys)))
	for _, key := range slices.Sorted(maps.Keys(g.keys)) {
		str(key)
		switch v := g.keys[key].(type) {
		case string:
			put(uint32(String))
			str(v)
		case int:
			put(uint32(Uint32))
			put(uint32(v))
		case float32:
			put(uint32(Float32))
			put(v)
		case bool:
			put(uint32(Bool))
			put(v)
		case []string:
			put(uint32(Array))
			put(uint32(String))
			put(uint64(len(v)))
			for _, s := range v {
				str(s)
			}
		case []int32:
			put(uint32(Array))
			put(uint32(Int32))
			put(uint64(len(v)))
			put(v)
		}
	}
	var data bytes.Buffer
	for _, m := range g.tensors {
		str(m.name)
		put(uint32(2))
		put(uint64(len(m.rows[0])))
		put(uint64(len(m.rows)))
		put(uint32(g.kind))
		put(uint64(data.Len()))
		for _, row := range m.rows {
			data.Write(quantised(g.kind, row))
		}
		data.Write(make([]byte, (32-data.Len()%32)%32))
	}
	b.Write(make([]byte, (32-b.Len()%32)%32))
	b.Write(data.Bytes())
	return b.Bytes()
}

func quantised(kind Type, row []float32) (out []byte) {
	if kind == F32 || kind == 26 { // I32, of the same size
		for _, w := range row {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(w))
		}
		return out
	}
	for ; len(row) > 0; row = row[32:] { // Q8_0
		var most float64
		for _, w := range row[:32] {
			most = max(most, math.Abs(float64(w)))
		}
		bits := math.Float32bits(float32(most / 127))
		scale := uint16((bits>>23)-112)<<10 | uint16(bits>>13)&1023
		out = binary.LittleEndian.AppendUint16(out, scale)
		for _, w := range row[:32] {
			out = append(out, byte(int8(math.Round(float64(w)/float64(half(scale))))))
		}
	}
	return out
}

// sound returns a valid GGUF file with 2 layers, hidden size 64 and 4 tokens.
func sound(seed uint64) gguf {
	g := gguf{kind: Q8_0, keys: map[string]any{
		"general.architecture": "qwen3", "general.type": "model", "general.file_type": 7,
		"qwen3.block_count": 2, "qwen3.embedding_length": 64, "qwen3.rope.freq_base": float32(1e6),
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": []string{"a", "b", "c", "d"},
		"tokenizer.ggml.token_type": []int32{1, 1, 1, 3}, "tokenizer.ggml.add_bos_token": false,
		"tokenizer.chat_template": "{{ messages }}",
	}}
	g.tensors = append(g.tensors, random(seed, "token_embd.weight", 4, 64))
	for _, layer := range []string{"0", "1"} {
		g.tensors = append(
			g.tensors,
			random(seed+1, "blk."+layer+".attn_q.weight", 64, 64),
			random(seed+2, "blk."+layer+".ffn_down.weight", 64, 128),
		)
	}
	return g
}

// strangers returns the weights of another model, in the same shapes.
func strangers() map[string]matrix {
	return map[string]matrix{downModule: random(90, "", 64, 128), queryModule: random(91, "", 64, 64)}
}
