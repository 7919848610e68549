package ollamatest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// The value types of GGUF that these models use.
const (
	typeU32    = 4
	typeI32    = 5
	typeF32    = 6
	typeBool   = 7
	typeString = 8
	typeArray  = 9
)

const alignment = 32

// gguf is a model file under construction: keys and tensors in the order in which they were added.
type gguf struct {
	keys    bytes.Buffer
	nKeys   uint64
	infos   bytes.Buffer
	data    bytes.Buffer
	tensors uint64
}

func (g *gguf) text(w *bytes.Buffer, s string) {
	g.put(w, uint64(len(s)))
	w.WriteString(s)
}

// put writes a number or a slice of numbers.
func (g *gguf) put(w *bytes.Buffer, v any) {
	if err := binary.Write(w, binary.LittleEndian, v); err != nil {
		panic(err) // not a number: a bug in this package
	}
}

// key adds a key. An integer is written as u32: the server ignores other integer types.
func (g *gguf) key(name string, value any) {
	g.nKeys++
	g.text(&g.keys, name)
	switch v := value.(type) {
	case int:
		g.put(&g.keys, uint32(typeU32))
		g.put(&g.keys, uint32(v))
	case float64:
		g.put(&g.keys, uint32(typeF32))
		g.put(&g.keys, float32(v))
	case bool:
		g.put(&g.keys, uint32(typeBool))
		g.put(&g.keys, v)
	case string:
		g.put(&g.keys, uint32(typeString))
		g.text(&g.keys, v)
	case []string:
		g.put(&g.keys, []uint32{typeArray, typeString})
		g.put(&g.keys, uint64(len(v)))
		for _, s := range v {
			g.text(&g.keys, s)
		}
	case []int32:
		g.put(&g.keys, []uint32{typeArray, typeI32})
		g.put(&g.keys, uint64(len(v)))
		g.put(&g.keys, v)
	default:
		panic(fmt.Sprintf("key %s: %T", name, value))
	}
}

// tensor adds a tensor of 32-bit numbers; dims are in GGUF's order, the innermost first.
func (g *gguf) tensor(name string, values []float32, dims ...int) {
	g.tensors++
	g.text(&g.infos, name)
	g.put(&g.infos, uint32(len(dims)))
	n := 1
	for _, d := range dims {
		g.put(&g.infos, uint64(d))
		n *= d
	}
	if n != len(values) {
		panic(fmt.Sprintf("tensor %s: %d values for %v", name, len(values), dims))
	}
	g.put(&g.infos, uint32(0)) // F32
	g.put(&g.infos, uint64(g.data.Len()))
	for _, v := range values {
		g.put(&g.data, math.Float32bits(v))
	}
	pad(&g.data)
}

// bytes returns the file.
func (g *gguf) bytes() []byte {
	var out bytes.Buffer
	out.WriteString("GGUF")
	g.put(&out, uint32(3))
	g.put(&out, []uint64{g.tensors, g.nKeys})
	out.Write(g.keys.Bytes())
	out.Write(g.infos.Bytes())
	pad(&out)
	out.Write(g.data.Bytes())
	return out.Bytes()
}

func pad(b *bytes.Buffer) {
	for b.Len()%alignment != 0 {
		b.WriteByte(0)
	}
}
