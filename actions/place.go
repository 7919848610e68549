package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/durable"
)

// placedFile records the files that retraind placed for training scripts: hash by absolute path.
const placedFile = "placed.json"

// place copies exported files, each atomically, to the paths where the training scripts look for them. The former files
// are not restored after a run, because the next export replaces the copies anyway. But a former file that retraind did
// not write is kept beside the copy, as NAME.before-RUN. place is idempotent.
func (x *Executor) place(p Plan, step Step) error {
	if len(step.Place) == 0 {
		return nil
	}
	root, err := os.OpenRoot(step.Dir)
	if err != nil {
		return fmt.Errorf("place: %w", err)
	}
	defer root.Close()
	own, err := readPlaced(p.ModelDir)
	if err != nil {
		return fmt.Errorf("place: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(step.Place)) {
		to := filepath.Clean(step.Place[name])
		full := filepath.Join(step.Dir, to)
		sum, err := placeOne(root, filepath.Join(p.dataDir(), name), to, p.Run, own[full])
		if err != nil {
			return fmt.Errorf("place %s as %s: %w", name, full, err)
		}
		own[full] = sum
		if err := writePlaced(p.ModelDir, own); err != nil {
			return fmt.Errorf("place: %w", err)
		}
	}
	return nil
}

// placeOne places one file and returns its hash; own is the hash of the file that retraind last placed there.
func placeOne(root *os.Root, source, to, run, own string) (string, error) {
	in, err := os.Open(source)
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum, err := files.HashOf(in)
	if err != nil {
		return "", err
	}
	mode := fs.FileMode(0o644)
	switch former, err := root.Lstat(to); {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := root.Stat(filepath.Dir(to)); errors.Is(err, fs.ErrNotExist) {
			return "", errors.New("there is no such directory: create it, or correct the path")
		}
	case err != nil:
		return "", err
	case !former.Mode().IsRegular():
		return "", fmt.Errorf("%s exists at this path: remove it, or place the file elsewhere", files.KindOf(former.Mode()))
	default:
		mode = former.Mode().Perm()
		have, err := files.HashAt(root, to, former)
		if err != nil || have == sum {
			return sum, err
		}
		if have != own {
			if err := root.Link(to, to+".before-"+run); err != nil && !errors.Is(err, fs.ErrExist) {
				return "", fmt.Errorf("keep the former file: %w", err)
			}
		}
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return sum, files.WriteInto(root, to, mode, in)
}

func readPlaced(modelDir string) (map[string]string, error) {
	own := map[string]string{}
	b, err := os.ReadFile(filepath.Join(modelDir, placedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return own, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &own)
	}
	return own, err
}

func writePlaced(modelDir string, own map[string]string) error {
	return durable.WriteFile(filepath.Join(modelDir, placedFile), []byte(mustJSON(own)+"\n"), 0o600)
}

// placeable lists the files of an export.
var placeable = []string{"train.jsonl", "validation.jsonl", "test.jsonl", "manifest.json"}

// validatePlace checks the key place.
func validatePlace(p *check.Problems, here string, files map[string]string) {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		to, at := files[name], here+"."+name
		if !slices.Contains(placeable, name) {
			hint := "write " + orList(placeable)
			if near := check.Nearest(name, placeable); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			p.Errorf(at, hint, "the export writes no file %s", name)
		}
		switch clean := filepath.Clean(to); {
		case !filepath.IsLocal(to) || clean == "." || strings.HasSuffix(to, "/"):
			hint := "write a path below the model's dir, such as data/" + name
			p.Errorf(at, hint, "%q is not the path of a file below the model's dir", to)
		case taken[clean] != "":
			p.Errorf(at, "choose another path", "%s and %s would both be placed as %s", taken[clean], name, clean)
		default:
			taken[clean] = name
		}
	}
}
