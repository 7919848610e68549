package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/internal/check"
)

// maxFile limits the size of a configuration.
const maxFile = 8 << 20

// Loaded is a loaded file with its positions and warnings.
type Loaded struct {
	File     *File
	Path     string
	Digest   string // "sha256:" and the hash of the text
	Source   []byte
	Warnings strictyaml.Problems
	// Files are the files that the configuration names and that were read with it, such as calendars: the hash of the
	// content by absolute path; "" for one that could not be read or is empty.
	Files map[string]string

	doc *strictyaml.Document
}

// Same reports whether two loads have the same text and the same content of the named files.
func (l *Loaded) Same(other *Loaded) bool {
	return l.Digest == other.Digest && maps.Equal(l.Files, other.Files)
}

// Variables lists the environment variables that the configuration uses.
func (l *Loaded) Variables() []string { return l.doc.Variables() }

// Locate adds positions in the file to findings that were made later, such as by querying a server.
func (l *Loaded) Locate(found check.Problems) (strictyaml.Problems, error) {
	if l.doc == nil {
		return nil, errors.New("the configuration was not parsed")
	}
	found = slices.Clone(found)
	for i := range found {
		found[i].Path = l.written(found[i].Path)
	}
	return l.doc.Locate(found), nil
}

// written returns the path of the key in the file that sets the column of a target's label, because three keys may set
// it. It returns other paths unchanged.
func (l *Loaded) written(path string) string {
	const ofSource = ".labels.postgres.targets."
	model, target, ok := strings.Cut(path, ofSource)
	if !ok {
		return path
	}
	for _, p := range []string{model + ".serving.targets." + target + ".label", path, model + ".labels.postgres.label"} {
		if _, _, ok := l.doc.Position(p); ok {
			return p
		}
	}
	return path
}

// Line returns the line of the value at a path, such as "models.news.limits.cooldown". ok is false for a value that is
// not in the file.
func (l *Loaded) Line(path string) (line int, ok bool) {
	if l.doc == nil {
		return 0, false
	}
	line, _, ok = l.doc.Position(path)
	return line, ok
}

// InvalidError is the error of a file with faults, with every problem and its position.
type InvalidError struct {
	Path     string
	Source   []byte
	Problems strictyaml.Problems
	Files    map[string]string // as in Loaded, because a missing one may appear later
}

func (e *InvalidError) Error() string { return e.Problems.Error() }

// Render prints the problems with their lines and a caret.
func (e *InvalidError) Render(w io.Writer) error { return e.Problems.Render(w, e.Source) }

// Load reads, decodes and validates a configuration file. The error is an *InvalidError when the file could be read.
func Load(path string) (*Loaded, error) {
	source, mode, err := read("configuration", path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missingError(path)
	}
	if err != nil {
		return nil, err
	}
	l, err := Parse(path, source)
	if err != nil {
		return nil, err
	}
	if found := l.Warnings.With(l.doc.Locate(append(l.secrets(mode), l.File.missing...))); found.Errors() > 0 {
		return nil, &InvalidError{Path: path, Source: source, Problems: found, Files: l.Files}
	}
	return l, nil
}

// Parse decodes and validates the text of a configuration; relative paths are resolved against the directory of path.
// Unlike Load, it accepts passwords that everyone may read, and prompt files that do not exist.
func Parse(path string, source []byte) (*Loaded, error) {
	sum := sha256.Sum256(source)
	l := &Loaded{Path: path, Source: source, Digest: "sha256:" + hex.EncodeToString(sum[:]), File: &File{}}
	doc, err := strictyaml.Decode(path, source, l.File)
	var found strictyaml.Problems
	if err != nil && !errors.As(err, &found) {
		return nil, err
	}
	if doc == nil { // no valid YAML
		return nil, &InvalidError{Path: path, Source: source, Problems: found}
	}
	if l.File.dir, err = filepath.Abs(filepath.Dir(path)); err != nil {
		return nil, err
	}
	l.File.withDefaults()
	found = append(found, doc.Warnings...)
	found = found.With(doc.Locate(l.File.validate(newBroken(found))))
	if found.Errors() > 0 {
		return nil, &InvalidError{Path: path, Source: source, Problems: found, Files: l.File.files}
	}
	l.Warnings, l.doc, l.Files = found, doc, l.File.files
	return l, nil
}

// missingError is the error for a configuration that does not exist, with its path; errors.Is finds fs.ErrNotExist.
type missingError string

func (e missingError) Error() string {
	return fmt.Sprintf("configuration %s does not exist: write one with `retraind init`, or name another with --config",
		string(e))
}

func (missingError) Unwrap() error { return fs.ErrNotExist }

// read reads a file and its mode. Errors name what the file is for.
func read(what, path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", what, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", what, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s %s is not a regular file", what, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", what, err)
	}
	return b, info.Mode(), nil
}
