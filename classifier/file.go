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
)

// FileName is the model's file in its directory.
const FileName = "classifier.bin"

// The file: magic, version, length of a JSON header, the header, n-gram weights, weights and bias as little-endian
// float32, and the SHA-256 of everything before it.
const (
	magic       = "RETRAIND"
	fileVersion = 1
	maxHeader   = 1 << 20
)

type header struct {
	Categories []string `json:"categories"`
	Seed       uint64   `json:"seed"`
	Examples   int      `json:"examples"`
	Dims       int      `json:"dims"`
	Buckets    int      `json:"buckets"`
}

// ErrCorrupt marks a model file that cannot be used.
var ErrCorrupt = errors.New("the model file is damaged")

// Save writes the model into a directory, whole or not at all.
func (m *Model) Save(dir string) error {
	head, err := json.Marshal(header{m.Categories, m.Seed, m.Examples, m.Dims, buckets})
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	var b bytes.Buffer
	b.WriteString(magic)
	b.Write(binary.LittleEndian.AppendUint32(nil, fileVersion))
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(head))))
	b.Write(head)
	for _, values := range [][]float32{m.gramWeights, m.weights, m.bias} {
		for _, v := range values {
			b.Write(binary.LittleEndian.AppendUint32(b.AvailableBuffer(), math.Float32bits(v)))
		}
	}
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:])
	if err := renameio.WriteFile(filepath.Join(dir, FileName), b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	return nil
}

// Load reads the model of a directory. A file that is cut off, changed, or of another version is refused.
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
		return nil, fmt.Errorf("%w: it does not begin like a model of retraind", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(data[len(magic):]); v != fileVersion {
		return nil, fmt.Errorf("the file has format %d and this program reads %d; train again with this version", v, fileVersion)
	}
	body := data[:len(data)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], data[len(body):]) {
		return nil, fmt.Errorf("%w: its checksum does not match; it is cut off or was changed; train or copy it again", ErrCorrupt)
	}
	size := int(binary.LittleEndian.Uint32(data[len(magic)+4:]))
	if size > maxHeader || fixed+size > len(body) {
		return nil, fmt.Errorf("%w: impossible header", ErrCorrupt)
	}
	var h header
	if err := json.Unmarshal(body[fixed:fixed+size], &h); err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrCorrupt, err)
	}
	k := len(h.Categories)
	if k < 2 || k > maxCategories || h.Dims != dims || h.Buckets != buckets || !slices.IsSorted(h.Categories) {
		return nil, fmt.Errorf("%w: %d categories, %d features, %d buckets", ErrCorrupt, k, h.Dims, h.Buckets)
	}
	rest := body[fixed+size:]
	if len(rest) != 4*(buckets+dims*k+k) {
		return nil, fmt.Errorf("%w: %d bytes of weights instead of %d", ErrCorrupt, len(rest), 4*(buckets+dims*k+k))
	}
	m := &Model{Categories: h.Categories, Seed: h.Seed, Examples: h.Examples, Dims: dims}
	var err error
	take := func(n int) []float32 {
		values := make([]float32, n)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(rest[4*i:]))
			if v := float64(values[i]); math.IsNaN(v) || math.IsInf(v, 0) {
				err = fmt.Errorf("%w: a weight is not a number", ErrCorrupt)
			}
		}
		rest = rest[4*n:]
		return values
	}
	m.gramWeights, m.weights, m.bias = take(buckets), take(dims*k), take(k)
	if err != nil {
		return nil, err
	}
	return m, nil
}
