package classifier

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/serving"
)

// FileName is the name of the model's file in its directory.
const FileName = "classifier.bin"

// The file contains magic, version, length of a JSON header, the header, numbers in little-endian, and the SHA-256 of
// everything before it. The header has the counts of the numbers. In format 2 the numbers are the buckets of the
// n-grams (uint32), the inverse document frequencies of the n-grams (float32), and for each head the scales of the rows
// (float32), the weights (int8) and the bias (float32). A model that uses embeddings has no n-grams. Files in format 1
// are read, but not written.
const (
	magic       = "RETRAIND"
	fileVersion = 2
	maxHeader   = 4 << 20
)

type header struct {
	Seed       uint64       `json:"seed"`
	Examples   int          `json:"examples"`
	Features   int          `json:"features"`
	BucketBits int          `json:"bucket_bits"`
	Heads      []headHeader `json:"heads"`
	Embeddings *Embeddings  `json:"embeddings,omitempty"` // replaces the vocabulary
}

type headHeader struct {
	Name        string       `json:"name"`
	Kind        serving.Kind `json:"kind"`
	Categories  []string     `json:"categories"`
	Temperature float64      `json:"temperature"`
}

// ErrCorrupt marks a damaged model file. A file of an unknown version is another error.
var ErrCorrupt = errors.New("the model file is damaged")

// Save writes the model into a directory, atomically.
func (m *Model) Save(dir string) error {
	b, err := m.encode()
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, FileName), b, 0o644); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	return nil
}

func (m *Model) encode() ([]byte, error) {
	words, ok := m.features.(*vocabulary)
	h := header{Seed: m.Seed, Examples: m.Examples, BucketBits: bucketBits, Embeddings: m.embeddings}
	switch {
	case m.embeddings != nil:
		words, h.Features = &vocabulary{}, len(m.Heads[0].weights.scale)
	case ok:
		h.Features = len(words.hashes)
	default:
		return nil, errors.New("it was read from a file of format 1, which can no longer be written; train again")
	}
	for _, head := range m.Heads {
		h.Heads = append(h.Heads, headHeader{head.Name, head.Kind, head.Categories, head.Temperature})
	}
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32([]byte(magic), fileVersion), uint32(len(head)))
	b = append(b, head...)
	for _, hash := range words.hashes {
		b = le.AppendUint32(b, hash)
	}
	b = appendFloats(b, words.idf)
	for _, head := range m.Heads {
		b = appendFloats(b, head.weights.scale)
		for _, w := range head.weights.tiny {
			b = append(b, byte(w))
		}
		b = appendFloats(b, head.bias)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

func appendFloats(b []byte, values []float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// Load reads the model of a directory. It returns an error if the file is truncated, changed, or of an unknown version.
func Load(dir string) (*Model, error) {
	path := filepath.Join(dir, FileName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	m, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", path, err)
	}
	return m, nil
}

func decode(data []byte) (*Model, error) {
	const fixed = len(magic) + 8
	if len(data) < fixed+sha256.Size {
		return nil, fmt.Errorf("%w: %d bytes are too few; train or copy it again", ErrCorrupt, len(data))
	}
	if string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it is not a model file of retraind", ErrCorrupt)
	}
	version := binary.LittleEndian.Uint32(data[len(magic):])
	if version != fileVersion && version != foldedVersion {
		return nil, fmt.Errorf("the file has format %d and this program reads %d and %d; train again with this version",
			version, foldedVersion, fileVersion)
	}
	body := data[:len(data)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], data[len(body):]) {
		return nil, fmt.Errorf("%w: its checksum does not match; it is cut off or was changed; train or copy it again",
			ErrCorrupt)
	}
	size := int(binary.LittleEndian.Uint32(data[len(magic)+4:]))
	if size > maxHeader || fixed+size > len(body) {
		return nil, fmt.Errorf("%w: invalid header", ErrCorrupt)
	}
	if version == foldedVersion {
		return decodeFolded(body[fixed:fixed+size], reader{rest: body[fixed+size:]})
	}
	return decodeVocabulary(body[fixed:fixed+size], reader{rest: body[fixed+size:]})
}

func decodeVocabulary(head []byte, r reader) (*Model, error) {
	var h header
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrCorrupt, err)
	}
	if h.Features < 0 || h.Features > maxFeatures || h.BucketBits != bucketBits || len(h.Heads) == 0 {
		return nil, fmt.Errorf("%w: %d features of %d bits, %d heads", ErrCorrupt, h.Features, h.BucketBits, len(h.Heads))
	}
	known := h.Features // n-grams
	if h.Embeddings != nil {
		known = 0
	}
	want := 8 * known
	for _, head := range h.Heads {
		k := len(head.Categories)
		if k < 1 || k > maxCategories || !slices.IsSorted(head.Categories) || !(head.Temperature > 0) {
			return nil, fmt.Errorf("%w: head %q has %d categories, temperature %v", ErrCorrupt, head.Name, k, head.Temperature)
		}
		want += h.Features*(4+k) + 4*k
	}
	if len(r.rest) != want {
		return nil, fmt.Errorf("%w: %d bytes of weights instead of %d", ErrCorrupt, len(r.rest), want)
	}
	words := &vocabulary{hashes: r.uint32s(known), idf: r.floats(known)}
	m := &Model{Seed: h.Seed, Examples: h.Examples, features: words, embeddings: h.Embeddings}
	for _, head := range h.Heads {
		k := len(head.Categories)
		out := &Head{Name: head.Name, Kind: head.Kind, Categories: head.Categories, Temperature: head.Temperature}
		out.weights.scale = r.floats(h.Features)
		out.weights.tiny = r.int8s(h.Features * k)
		out.bias = r.floats(k)
		m.Heads = append(m.Heads, out)
	}
	if known > 0 && slices.Max(words.hashes) >= 1<<bucketBits {
		return nil, fmt.Errorf("%w: invalid features", ErrCorrupt)
	}
	if r.err != nil {
		return nil, r.err
	}
	words.makeTable()
	return m, nil
}

// reader reads numbers from the body of a file. The body's length must have been checked before.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) uint32s(n int) []uint32 {
	values := make([]uint32, n)
	for i := range values {
		values[i] = binary.LittleEndian.Uint32(r.rest[4*i:])
	}
	r.rest = r.rest[4*n:]
	return values
}

func (r *reader) floats(n int) []float32 {
	values := make([]float32, n)
	for i, bits := range r.uint32s(n) {
		values[i] = math.Float32frombits(bits)
		if v := float64(values[i]); math.IsNaN(v) || math.IsInf(v, 0) {
			r.err = fmt.Errorf("%w: a weight is not a number", ErrCorrupt)
		}
	}
	return values
}

func (r *reader) int8s(n int) []int8 {
	values := make([]int8, n)
	for i := range values {
		values[i] = int8(r.rest[i])
	}
	r.rest = r.rest[n:]
	return values
}

// size returns the length of the model's file in bytes, 0 if the model cannot be written.
func (m *Model) size() int {
	b, err := m.encode()
	if err != nil {
		return 0
	}
	return len(b)
}
