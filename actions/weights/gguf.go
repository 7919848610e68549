package weights

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// GGUF is the header of a GGUF file.
type GGUF struct {
	Version uint32
	Size    int64 // of the file
	Data    int64 // offset of the tensor data
	Tensors []Tensor
	values  map[string]Value
	index   map[string]int
}

// Value is the value of a key: a text, a number or a bool. For an array only Len is kept.
type Value struct {
	Text   string
	Number float64
	Kind   Kind
	Len    uint64 // number of elements of an array
}

// Kind is the type of a key's value.
type Kind uint32

// The kinds.
const (
	Uint8 Kind = iota
	Int8
	Uint16
	Int16
	Uint32
	Int32
	Float32
	Bool
	String
	Array
	Uint64
	Int64
	Float64
)

// Tensor is one matrix of weights.
type Tensor struct {
	Name   string
	Dims   []uint64 // innermost dimension first: Dims[1] rows of Dims[0] numbers
	Type   Type
	Offset uint64 // from the beginning of the data
}

// ErrNotGGUF means that the file has another format.
var ErrNotGGUF = errors.New("not a GGUF file")

// OpenGGUF reads the header of a file. If the file has another format, the error is ErrNotGGUF.
func OpenGGUF(path string) (GGUF, error) {
	f, err := os.Open(path)
	if err != nil {
		return GGUF{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return GGUF{}, err
	}
	if !info.Mode().IsRegular() {
		return GGUF{}, fmt.Errorf("%s: %w: not a regular file", path, ErrNotGGUF)
	}
	m, err := ReadGGUF(f, info.Size())
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Value returns the value of a key; it reports false if there is none.
func (m GGUF) Value(key string) (Value, bool) {
	v, ok := m.values[key]
	return v, ok
}

// Text returns the text of a key, "" if there is none.
func (m GGUF) Text(key string) string { return m.values[key].Text }

// Number returns the numeric value of a key of the model's architecture, such as block_count; 0 if there is none.
func (m GGUF) Number(key string) uint64 {
	n := m.values[m.Architecture()+"."+key].Number
	if !(n >= 0 && n < 1<<53) {
		return 0
	}
	return uint64(n)
}

// Architecture returns the network's architecture, such as qwen3.
func (m GGUF) Architecture() string { return m.Text("general.architecture") }

// ChatTemplate returns the template that turns messages into a prompt, "" if the file has none.
func (m GGUF) ChatTemplate() string { return m.Text("tokenizer.chat_template") }

// Tokens returns the size of the tokenizer's vocabulary.
func (m GGUF) Tokens() uint64 { return m.values["tokenizer.ggml.tokens"].Len }

// FileType returns the name of the type that most weights have, such as Q8_0.
func (m GGUF) FileType() string {
	v, ok := m.values["general.file_type"]
	if !ok {
		return "unknown"
	}
	if name, ok := fileTypes[v.Number]; ok {
		return name
	}
	return fmt.Sprintf("file type %g", v.Number)
}

// Tensor returns a tensor by its name; it reports false if there is none.
func (m GGUF) Tensor(name string) (Tensor, bool) {
	i, ok := m.index[name]
	if !ok {
		return Tensor{}, false
	}
	return m.Tensors[i], true
}

// Bytes returns the tensor's size in bytes; it reports false if its type is unknown or its dimensions are invalid.
func (t Tensor) Bytes() (uint64, bool) {
	b, ok := blocks[t.Type]
	if !ok || len(t.Dims) == 0 || t.Dims[0]%b.numbers != 0 {
		return 0, false
	}
	n := t.Dims[0] / b.numbers * b.bytes
	for _, d := range t.Dims[1:] {
		if d != 0 && n > maxTensor/d {
			return 0, false
		}
		n *= d
	}
	return n, n <= maxTensor
}

// Row reads one row of a matrix. The file must be the one that the header was read from.
func (m GGUF) Row(file io.ReaderAt, t Tensor, row uint64) ([]float32, error) {
	b, ok := blocks[t.Type]
	if !ok || b.numbersOf == nil {
		return nil, fmt.Errorf("tensor %s: weights of type %v cannot be read", t.Name, t.Type)
	}
	if len(t.Dims) != 2 || row >= t.Dims[1] || t.Dims[0]%b.numbers != 0 || t.Dims[0] > maxRow {
		return nil, fmt.Errorf("tensor %s: there is no row %d in %v", t.Name, row, t.Dims)
	}
	size := t.Dims[0] / b.numbers * b.bytes
	raw := make([]byte, size)
	if _, err := file.ReadAt(raw, m.Data+int64(t.Offset+row*size)); err != nil {
		return nil, fmt.Errorf("tensor %s: row %d: %w", t.Name, row, err)
	}
	out := make([]float32, 0, t.Dims[0])
	for ; len(raw) > 0; raw = raw[b.bytes:] {
		out = b.numbersOf(out, raw[:b.bytes])
	}
	return out, nil
}
