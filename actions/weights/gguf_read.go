package weights

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits far above those of any valid file.
const (
	maxKeys    = 1 << 16
	maxTensors = 1 << 18
	maxName    = 1 << 16 // bytes of the name of a key or tensor
	maxText    = 1 << 20 // bytes of a stored text
	maxDims    = 8
	maxRow     = 1 << 24
	maxTensor  = 1 << 50 // bytes
)

// ReadGGUF reads the header of a file of the given size, and checks that the tensors lie inside the file.
func ReadGGUF(file io.ReaderAt, size int64) (GGUF, error) {
	r := &reader{in: bufio.NewReaderSize(io.NewSectionReader(file, 0, size), 1<<16), left: uint64(max(size, 0))}
	m := GGUF{Size: size, values: map[string]Value{}, index: map[string]int{}}
	tensors, err := r.head(&m)
	if err == nil {
		err = r.tensors(&m, tensors)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return m, fmt.Errorf("the file ends inside its header, after %d bytes: it was cut off", size)
	}
	if err == nil {
		err = m.place(uint64(size) - r.left)
	}
	return m, err
}

// reader reads little-endian values and counts the remaining bytes, so that no count in the file is trusted.
type reader struct {
	in   *bufio.Reader
	left uint64
}

func (r *reader) bytes(n uint64) ([]byte, error) {
	if n > r.left {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r.in, b)
	r.left -= n
	return b, err
}

func (r *reader) skip(n uint64) error {
	if n > r.left {
		return io.ErrUnexpectedEOF
	}
	r.left -= n
	for n > 0 {
		step := min(n, 1<<30)
		if _, err := r.in.Discard(int(step)); err != nil {
			return err
		}
		n -= step
	}
	return nil
}

func (r *reader) uint32() (uint32, error) {
	b, err := r.bytes(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) uint64() (uint64, error) {
	b, err := r.bytes(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// text reads a text. It returns an error if the text's size exceeds the limit most.
func (r *reader) text(most uint64) (string, error) {
	n, err := r.uint64()
	if err != nil {
		return "", err
	}
	if n > most && n <= r.left {
		return "", fmt.Errorf("a text has %d bytes, at most %d are plausible: the header is damaged", n, most)
	}
	b, err := r.bytes(n)
	return string(b), err
}

// head reads everything before the list of tensors, and returns their number.
func (r *reader) head(m *GGUF) (tensors uint64, err error) {
	magic, err := r.bytes(4)
	if err != nil || string(magic) != "GGUF" {
		return 0, fmt.Errorf("%w: it begins with %q instead of GGUF", ErrNotGGUF, magic)
	}
	if m.Version, err = r.uint32(); err != nil {
		return 0, err
	}
	if m.Version != 2 && m.Version != 3 {
		return 0, fmt.Errorf("version %d of GGUF is not supported (2 and 3 are): convert the model with a current converter, for a little-endian machine",
			m.Version)
	}
	if tensors, err = r.uint64(); err != nil {
		return 0, err
	}
	keys, err := r.uint64()
	if err != nil {
		return 0, err
	}
	if keys > maxKeys || tensors > maxTensors {
		return 0, fmt.Errorf("the header announces %d keys and %d tensors: it is damaged", keys, tensors)
	}
	for range keys {
		key, err := r.text(maxName)
		if err != nil {
			return 0, err
		}
		kind, err := r.uint32()
		if err != nil {
			return 0, err
		}
		if m.values[key], err = r.value(Kind(kind)); err != nil {
			return 0, wrapEOF(err, "key %q", key)
		}
	}
	return tensors, nil
}

// wrapEOF adds the place to an error, unless the file has ended; ReadGGUF explains that.
func wrapEOF(err error, format string, args ...any) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// widths are the sizes of numbers in bytes, by kind.
var widths = map[Kind]uint64{
	Uint8: 1, Int8: 1, Bool: 1, Uint16: 2, Int16: 2, Uint32: 4, Int32: 4, Float32: 4, Uint64: 8, Int64: 8, Float64: 8,
}

func (r *reader) value(kind Kind) (Value, error) {
	v := Value{Kind: kind}
	var err error
	switch width := widths[kind]; {
	case kind == String:
		v.Text, err = r.text(maxText)
	case kind == Array:
		v.Len, err = r.array()
	case width == 0:
		err = fmt.Errorf("a value of unknown type %d: the header is damaged", kind)
	default:
		var b []byte
		if b, err = r.bytes(width); err == nil {
			v.Number = number(kind, b)
		}
	}
	return v, err
}

// array skips an array and returns its length.
func (r *reader) array() (uint64, error) {
	kind, err := r.uint32()
	if err != nil {
		return 0, err
	}
	n, err := r.uint64()
	if err != nil {
		return 0, err
	}
	switch width := widths[Kind(kind)]; {
	case Kind(kind) == String:
		for range n {
			length, err := r.uint64()
			if err == nil {
				err = r.skip(length)
			}
			if err != nil {
				return 0, err
			}
		}
		return n, nil
	case width == 0:
		return 0, fmt.Errorf("an array of unknown type %d: the header is damaged", kind)
	case n > r.left/width:
		return 0, io.ErrUnexpectedEOF
	default:
		return n, r.skip(n * width)
	}
}

func number(kind Kind, b []byte) float64 {
	var wide [8]byte
	copy(wide[:], b)
	n := binary.LittleEndian.Uint64(wide[:])
	switch kind {
	case Int8:
		return float64(int8(n))
	case Int16:
		return float64(int16(n))
	case Int32:
		return float64(int32(n))
	case Int64:
		return float64(int64(n))
	case Float32:
		return float64(math.Float32frombits(uint32(n)))
	case Float64:
		return math.Float64frombits(n)
	}
	return float64(n)
}

func (r *reader) tensors(m *GGUF, n uint64) error {
	for range n {
		var t Tensor
		var err error
		if t.Name, err = r.text(maxName); err != nil {
			return err
		}
		dims, err := r.uint32()
		if err != nil {
			return err
		}
		if dims > maxDims {
			return fmt.Errorf("tensor %q has %d dimensions: the header is damaged", t.Name, dims)
		}
		for range dims {
			d, err := r.uint64()
			if err != nil {
				return err
			}
			t.Dims = append(t.Dims, d)
		}
		kind, err := r.uint32()
		if err != nil {
			return err
		}
		t.Type = Type(kind)
		if t.Offset, err = r.uint64(); err != nil {
			return err
		}
		if _, twice := m.index[t.Name]; twice {
			return fmt.Errorf("tensor %q is listed twice: the header is damaged", t.Name)
		}
		m.index[t.Name] = len(m.Tensors)
		m.Tensors = append(m.Tensors, t)
	}
	return nil
}

// place computes the offset of the data from the size of the header, and checks that each tensor lies inside the file.
func (m *GGUF) place(head uint64) error {
	align := uint64(32)
	if v, ok := m.values["general.alignment"]; ok && v.Number >= 1 && v.Number <= 1<<20 {
		align = uint64(v.Number)
	}
	data := (head + align - 1) / align * align
	m.Data = int64(data)
	size := uint64(m.Size)
	for _, t := range m.Tensors {
		bytes, known := t.Bytes()
		if _, typed := blocks[t.Type]; typed && !known {
			return fmt.Errorf("tensor %q of type %v cannot have dimensions %v: the header is damaged", t.Name, t.Type, t.Dims)
		}
		if data > size || t.Offset > size-data || bytes > size-data-t.Offset {
			return fmt.Errorf("tensor %q should end at byte %d, and the file has %d: it was cut off; convert the model again, and check the disk's free space",
				t.Name, data+t.Offset+bytes, size)
		}
		if t.Offset%align != 0 {
			return fmt.Errorf("tensor %q begins at %d, which is not a multiple of %d: the header is damaged", t.Name, t.Offset, align)
		}
	}
	return nil
}
