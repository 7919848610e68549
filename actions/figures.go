package actions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/text"
)

const (
	maxFigures     = 200
	maxFiguresFile = 64 << 10
)

var figureName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.@/-]{0,63}$`)

// readFigures reads the figures that a command has written since its start. The file must be one complete JSON object
// of numbers.
func readFigures(path string, since time.Time) (map[string]float64, error) {
	f, err := openFigures(path, since)
	if err != nil {
		return nil, fmt.Errorf("result %s: %w", path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFiguresFile+1))
	if err != nil {
		return nil, fmt.Errorf("result %s: %w", path, err)
	}
	figures, err := parseFigures(b)
	if err != nil {
		return nil, fmt.Errorf("result %s: %w", path, err)
	}
	return figures, nil
}

func openFigures(path string, since time.Time) (*os.File, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("the command left no such file; correct result, or the path that the command writes to")
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is %s; let the command write a regular file", files.KindOf(info.Mode()))
	case info.Size() > maxFiguresFile:
		return nil, fmt.Errorf("its size is %s, the limit is %s: write only the figures into it", text.Bytes(info.Size()),
			text.Bytes(maxFiguresFile))
	case written(info).Before(since.Add(-clockSlack)):
		return nil, fmt.Errorf("it was written at %s, before the command began: the command did not write it",
			written(info).UTC().Format(time.RFC3339))
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return files.OpenRegular(root, filepath.Base(path), info)
}

// parseFigures reads a JSON object of numbers.
func parseFigures(b []byte) (map[string]float64, error) {
	const cure = `; write {"accuracy": 0.93, "loss": 0.21}, as the last thing that the command does`
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object" + cure)
	}
	figures := map[string]float64{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w%s", brokenJSON(err, dec), cure)
		}
		name, _ := key.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("%q: %w%s", name, brokenJSON(err, dec), cure)
		}
		figure, err := strconv.ParseFloat(string(value), 64)
		_, twice := figures[name]
		switch {
		case !figureName.MatchString(name):
			return nil, fmt.Errorf("%q cannot name a figure: begin with a letter, use letters, digits, _ . @ / and -, at most 64 characters",
				name)
		case twice:
			return nil, fmt.Errorf("%q is given twice", name)
		case errors.Is(err, strconv.ErrRange):
			return nil, fmt.Errorf("%q: %s is too large a number", name, value)
		case err != nil:
			return nil, fmt.Errorf("%q is %.40s, but a figure must be a number%s", name, value, cure)
		case len(figures) == maxFigures:
			return nil, fmt.Errorf("more than %d figures: write only those that people or the gate need", maxFigures)
		}
		figures[name] = figure
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w%s", brokenJSON(err, dec), cure)
	}
	if rest := bytes.TrimSpace(b[dec.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("unexpected data after the JSON object: %.40q", rest)
	}
	if len(figures) == 0 {
		return nil, errors.New("it contains no figure" + cure)
	}
	return figures, nil
}

// brokenJSON explains where a file ends or is invalid.
func brokenJSON(err error, dec *json.Decoder) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends after %d bytes, inside the JSON object", dec.InputOffset())
	}
	return fmt.Errorf("at byte %d: %w", dec.InputOffset(), err)
}

// resultPath returns the path of a command's result file.
func resultPath(result string, spec []string, cwd string) string {
	values := map[string]string{}
	for _, v := range spec {
		name, value, _ := strings.Cut(v, "=")
		values[name] = value
	}
	path := fill([]string{result}, values)[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(cwd, path)
	}
	return path
}

// validateResult checks the key result.
func validateResult(p *check.Problems, here, result string) {
	if result == "" {
		return
	}
	validateVariables(p, here, []string{result})
	if filepath.IsAbs(result) || strings.HasPrefix(result, "$") {
		return
	}
	if !filepath.IsLocal(result) || filepath.Clean(result) == "." {
		p.Errorf(here, "write a path below the directory of the command, an absolute path, or $RETRAIND_WORK_DIR/figures.json",
			"%q is not a path below the directory of the command", result)
	}
}

// measured returns the measurements of a run's steps; later steps override earlier ones.
func measured(done []Outcome) map[string]float64 {
	var out map[string]float64
	for _, o := range done {
		for name, value := range o.Facts.Figures {
			if out == nil {
				out = map[string]float64{}
			}
			out[name] = value
		}
	}
	return out
}

// figuresText formats the first figures for a sentence.
func figuresText(figures map[string]float64) string {
	const most = 4
	var parts []string
	for i, name := range slices.Sorted(maps.Keys(figures)) {
		if i == most {
			parts = append(parts, fmt.Sprintf("%d more", len(figures)-most))
			break
		}
		parts = append(parts, name+" "+number(figures[name]))
	}
	return strings.Join(parts, ", ")
}
