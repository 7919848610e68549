package classifier

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// embeddingCache stores the embeddings of texts in a file. Each record is the SHA-256 of model and text, the number of
// dimensions (uint32), and the values (float32), little-endian. Records are only appended. An incomplete record at the
// end, after a crash, is cut off, and so is everything from a record with too many dimensions on. If file is nil, the
// cache is disabled.
type embeddingCache struct {
	model string
	known map[[sha256.Size]byte][]float32
	file  *os.File
}

func openCache(path, model string) (*embeddingCache, error) {
	c := &embeddingCache{model: model, known: map[[sha256.Size]byte][]float32{}}
	if path == "" {
		return c, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open the cache of embeddings: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the cache of embeddings: %w", err)
	}
	c.file = f
	whole, err := c.read(bufio.NewReader(f))
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read the cache of embeddings %s: %w", path, err)
	}
	return c, nil
}

// read reads the records into the cache, up to the first incomplete or invalid one, and returns their size in bytes.
func (c *embeddingCache) read(r io.Reader) (int64, error) {
	var whole int64
	for {
		var head struct {
			Key  [sha256.Size]byte
			Dims uint32
		}
		err := binary.Read(r, binary.LittleEndian, &head)
		if err == nil && head.Dims > maxDims {
			return whole, nil
		}
		values := make([]float32, head.Dims)
		if err == nil {
			err = binary.Read(r, binary.LittleEndian, values)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		if hasUnitLength(values) { // else it is damaged, as by zeros after a power cut: the text is requested again
			c.known[head.Key] = values
		}
		whole += int64(sha256.Size + 4 + 4*len(values))
	}
}

// hasUnitLength reports whether a vector has a Euclidean length of 1, as every complete embedding does.
func hasUnitLength(v []float32) bool {
	var square float64
	for _, x := range v {
		square += float64(x) * float64(x)
	}
	return math.Abs(square-1) < 1e-3
}

func (c *embeddingCache) key(text string) [sha256.Size]byte {
	return sha256.Sum256([]byte(c.model + "\x00" + text))
}

func (c *embeddingCache) get(text string) []float32 { return c.known[c.key(text)] }

func (c *embeddingCache) put(text string, values []float32) error {
	if c.file == nil {
		return nil
	}
	key := c.key(text)
	c.known[key] = values
	b := binary.LittleEndian.AppendUint32(key[:], uint32(len(values)))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	if _, err := c.file.Write(b); err != nil {
		return fmt.Errorf("write the cache of embeddings: %w", err)
	}
	return nil
}

func (c *embeddingCache) close() {
	if c.file != nil {
		c.file.Close() // lost vectors are requested again
	}
}
