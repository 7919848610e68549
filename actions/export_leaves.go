package actions

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/retraind/retraind/drift"
)

// leaves are those of a split's Merkle tree, which wants them in the order of their ids. Memory holds one run of them;
// more are written as sorted runs to a file without a name, and merged in the end.
type leaves struct {
	dir  string
	run  []leaf
	file *os.File
	ends []int64 // of each run in the file
}

type leaf struct {
	id   string
	hash [sha256.Size]byte
}

func (l leaf) compare(other leaf) int {
	return cmp.Or(strings.Compare(l.id, other.id), bytes.Compare(l.hash[:], other.hash[:]))
}

// leafRun is how many leaves are sorted in memory.
const leafRun = 1 << 12

func (l *leaves) add(id string, hash [sha256.Size]byte) error {
	if len(l.run) == leafRun {
		if err := l.spill(); err != nil {
			return err
		}
	}
	l.run = append(l.run, leaf{id, hash})
	return nil
}

// spill appends the run in memory to the file.
func (l *leaves) spill() (err error) {
	if l.file == nil {
		if l.file, err = os.CreateTemp(l.dir, ".leaves"); err != nil {
			return err
		}
		if err = os.Remove(l.file.Name()); err != nil {
			return err
		}
	}
	slices.SortFunc(l.run, leaf.compare)
	out := bufio.NewWriter(l.file)
	var length []byte
	for _, leaf := range l.run {
		length = binary.AppendUvarint(length[:0], uint64(len(leaf.id)))
		out.Write(length)        //nolint:errcheck // Flush tells
		out.WriteString(leaf.id) //nolint:errcheck // Flush tells
		out.Write(leaf.hash[:])  //nolint:errcheck // Flush tells
	}
	if err := out.Flush(); err != nil {
		return err
	}
	end, err := l.file.Seek(0, io.SeekCurrent)
	l.ends, l.run = append(l.ends, end), l.run[:0]
	return err
}

// root takes all leaves into their tree.
func (l *leaves) root() (string, error) {
	var tree drift.Merkle
	slices.SortFunc(l.run, leaf.compare)
	if l.file == nil {
		for _, leaf := range l.run {
			tree.Add(leaf.hash)
		}
		return tree.Root(), nil
	}
	if err := l.spill(); err != nil {
		return "", err
	}
	var runs leafRuns
	begin := int64(0)
	for _, end := range l.ends {
		run := &leafReader{in: bufio.NewReader(io.NewSectionReader(l.file, begin, end-begin))}
		if err := run.next(); err != nil {
			return "", err
		}
		runs, begin = append(runs, run), end
	}
	heap.Init(&runs)
	for len(runs) > 0 {
		first := runs[0]
		tree.Add(first.leaf.hash)
		switch err := first.next(); {
		case errors.Is(err, io.EOF):
			heap.Pop(&runs)
		case err != nil:
			return "", err
		default:
			heap.Fix(&runs, 0)
		}
	}
	return tree.Root(), nil
}

func (l *leaves) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// leafReader reads a run.
type leafReader struct {
	in   *bufio.Reader
	leaf leaf
	id   []byte
}

// next reads a leaf; io.EOF says that there is none.
func (r *leafReader) next() error {
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return err
	}
	r.id = slices.Grow(r.id[:0], int(n))[:n]
	if _, err := io.ReadFull(r.in, r.id); err != nil {
		return io.ErrUnexpectedEOF
	}
	r.leaf.id = string(r.id)
	if _, err := io.ReadFull(r.in, r.leaf.hash[:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// leafRuns is a heap of runs, the one with the least leaf first.
type leafRuns []*leafReader

func (r leafRuns) Len() int           { return len(r) }
func (r leafRuns) Less(i, j int) bool { return r[i].leaf.compare(r[j].leaf) < 0 }
func (r leafRuns) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *leafRuns) Push(x any)        { *r = append(*r, x.(*leafReader)) }

func (r *leafRuns) Pop() any {
	last := len(*r) - 1
	run := (*r)[last]
	*r = (*r)[:last]
	return run
}
