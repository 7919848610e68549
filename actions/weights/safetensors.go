package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Safetensors are the tensors of one file, or of all files of a sharded model.
type Safetensors struct {
	tensors map[string]Matrix
	files   []*os.File
}

// Matrix is one tensor of a safetensors file.
type Matrix struct {
	Name  string
	Type  string // F32, BF16, …
	Shape []uint64
	at    int64
	size  int64
	file  *os.File
}

const (
	maxHead  = 100 << 20 // bytes; the format's own limit
	maxFiles = 4096
)

var dtypes = map[string]struct {
	bytes  uint64
	number func(out []float32, raw []byte) []float32
}{
	"F64": {8, func(out []float32, raw []byte) []float32 {
		return append(out, float32(math.Float64frombits(binary.LittleEndian.Uint64(raw))))
	}},
	"F32": {4, f32}, "F16": {2, f16}, "BF16": {2, bf16},
	"I64": {8, nil}, "I32": {4, nil}, "I16": {2, nil}, "I8": {1, nil}, "U64": {8, nil}, "U32": {4, nil}, "U16": {2, nil},
	"U8": {1, nil}, "BOOL": {1, nil}, "F8_E4M3": {1, nil}, "F8_E5M2": {1, nil},
}

// OpenSafetensors opens dir/STEM.safetensors, or the files named in dir/STEM.safetensors.index.json. Close it after
// use.
func OpenSafetensors(dir, stem string) (*Safetensors, error) {
	names, err := shards(dir, stem)
	if err != nil {
		return nil, err
	}
	s := &Safetensors{tensors: map[string]Matrix{}}
	for _, name := range names {
		if err := s.add(filepath.Join(dir, name)); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// shards returns the names of a model's files.
func shards(dir, stem string) ([]string, error) {
	b, err := readBounded(filepath.Join(dir, stem+".safetensors.index.json"), maxHead)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{stem + ".safetensors"}, nil
	}
	if err != nil {
		return nil, err
	}
	var index struct {
		Weights map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, stem+".safetensors.index.json"), err)
	}
	names := slices.Compact(slices.Sorted(maps.Values(index.Weights)))
	if len(names) == 0 || len(names) > maxFiles {
		return nil, fmt.Errorf("%s names %d files, not 1 to %d", filepath.Join(dir, stem+".safetensors.index.json"), len(names),
			maxFiles)
	}
	for _, name := range names {
		if filepath.Base(name) != name {
			return nil, fmt.Errorf("%s names the file %q, which is not in the same directory", stem+".safetensors.index.json", name)
		}
	}
	return names, nil
}

// pickled reports whether a directory holds weights in the format that preceded safetensors.
func pickled(dir, stem string) bool {
	for _, name := range []string{stem + ".bin", stem + ".bin.index.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// readBounded reads a regular file. It returns an error if the file's size exceeds the limit most.
func readBounded(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > most:
		return nil, fmt.Errorf("%s has %d bytes, more than the plausible %d", path, info.Size(), most)
	}
	return os.ReadFile(path)
}

// Close closes the files.
func (s *Safetensors) Close() {
	for _, f := range s.files {
		f.Close()
	}
}

// Names returns the names of the tensors, sorted.
func (s *Safetensors) Names() []string { return slices.Sorted(maps.Keys(s.tensors)) }

// Matrix returns a tensor by its name; it reports false if there is none.
func (s *Safetensors) Matrix(name string) (Matrix, bool) {
	m, ok := s.tensors[name]
	return m, ok
}

// add opens one file and adds its tensors.
func (s *Safetensors) add(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	s.files = append(s.files, f)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if err := s.head(f, info.Size()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// head reads the list of tensors, and checks that each lies inside the file.
func (s *Safetensors) head(f *os.File, size int64) error {
	var n [8]byte
	if _, err := f.ReadAt(n[:], 0); err != nil {
		return fmt.Errorf("not a safetensors file: it has %d bytes", size)
	}
	head := binary.LittleEndian.Uint64(n[:])
	if head > maxHead || head > uint64(size-8) {
		return fmt.Errorf("not a safetensors file, or cut off: its header should have %d bytes, and the file has %d", head, size)
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, 8, int64(head)))
	if err != nil {
		return err
	}
	var list map[string]json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("not a safetensors file: its header is not a JSON object: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if name == "__metadata__" {
			continue
		}
		m, err := readMatrix(name, list[name], uint64(size)-8-head)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		if _, twice := s.tensors[name]; twice {
			return fmt.Errorf("tensor %q is in two files", name)
		}
		m.at += 8 + int64(head)
		m.file = f
		s.tensors[name] = m
	}
	return nil
}

// readMatrix parses one entry of a file's header. data is the size of the file's data in bytes.
func readMatrix(name string, raw json.RawMessage, data uint64) (Matrix, error) {
	var e struct {
		Type    string    `json:"dtype"`
		Shape   []uint64  `json:"shape"`
		Offsets [2]uint64 `json:"data_offsets"`
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&e); err != nil {
		return Matrix{}, err
	}
	begin, end := e.Offsets[0], e.Offsets[1]
	if begin > end || end > data {
		return Matrix{}, fmt.Errorf("its range is %d to %d, but the file has %d bytes of data: it was cut off",
			begin, end, data)
	}
	if d, known := dtypes[e.Type]; known {
		want := d.bytes
		for _, n := range e.Shape {
			if n != 0 && want > maxTensor/n {
				return Matrix{}, fmt.Errorf("it cannot have the shape %v: the header is damaged", e.Shape)
			}
			want *= n
		}
		if want != end-begin {
			return Matrix{}, fmt.Errorf("%s of shape %v takes %d bytes, but it has %d: the header is damaged",
				e.Type, e.Shape, want, end-begin)
		}
	}
	return Matrix{Name: name, Type: e.Type, Shape: e.Shape, at: int64(begin), size: int64(end - begin)}, nil
}

// Row reads one row of a matrix.
func (m Matrix) Row(row uint64) ([]float32, error) {
	d := dtypes[m.Type]
	if d.number == nil {
		return nil, fmt.Errorf("tensor %s: weights of type %s cannot be read", m.Name, m.Type)
	}
	if len(m.Shape) != 2 || row >= m.Shape[0] || m.Shape[1] > maxRow {
		return nil, fmt.Errorf("tensor %s: there is no row %d in %v", m.Name, row, m.Shape)
	}
	raw := make([]byte, m.Shape[1]*d.bytes)
	if _, err := m.file.ReadAt(raw, m.at+int64(row*m.Shape[1]*d.bytes)); err != nil {
		return nil, fmt.Errorf("tensor %s: row %d: %w", m.Name, row, err)
	}
	out := make([]float32, 0, m.Shape[1])
	for ; len(raw) > 0; raw = raw[d.bytes:] {
		out = d.number(out, raw[:d.bytes])
	}
	return out, nil
}

// zero reports whether all weights are zero; a weight that is not finite is an error. It reads the whole tensor.
func (m Matrix) zero() (bool, error) {
	d := dtypes[m.Type]
	if d.number == nil {
		return false, fmt.Errorf("tensor %s: weights of type %s cannot be read", m.Name, m.Type)
	}
	zero := true
	in := io.NewSectionReader(m.file, m.at, m.size)
	raw, numbers := make([]byte, 1<<16), make([]float32, 0, 1<<15)
	for {
		n, err := io.ReadFull(in, raw)
		numbers = numbers[:0]
		for part := raw[:n-n%int(d.bytes)]; len(part) > 0; part = part[d.bytes:] {
			numbers = d.number(numbers, part[:d.bytes])
		}
		for _, w := range numbers {
			if w != w || math.IsInf(float64(w), 0) {
				return false, fmt.Errorf("tensor %s has a weight that is %v: the training diverged; lower the learning rate",
					m.Name, w)
			}
			zero = zero && w == 0
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return zero, nil
		}
		if err != nil {
			return false, fmt.Errorf("tensor %s: %w", m.Name, err)
		}
	}
}
