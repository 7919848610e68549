package actions

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/files"
	"github.com/retraind/retraind/internal/durable"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// left describes the results of a step that succeeded, stored in the directory of its attempt: enough for a later run
// to reuse them, and to know the space that the step needs.
type left struct {
	Outcome Outcome    `json:"outcome"`
	Code    string     `json:"code"`    // digest of the step and of the files that it names
	Data    []leftFile `json:"data"`    // all files in the run's directory data
	Release []leftFile `json:"release"` // all files of the release at that time
	// Work means that the step changed the directory that the steps share, and that this directory is not empty; it is
	// deleted at the end of the run. Sum is a digest of that directory.
	Work bool   `json:"work,omitempty"`
	Sum  string `json:"sum,omitempty"`
	// Total is the size of the run's directories and of the release after the step; Grew is by how much the step
	// increased it, at least 0.
	Total int64 `json:"total"`
	Grew  int64 `json:"grew"`
}

// leftFile is a file with the properties that show whether it is unchanged.
type leftFile struct {
	File
	Changed time.Time `json:"changed"`
}

const leftName = "left.json"

// keepLeft records the results of a step. If that fails, a retry runs the step again.
func (x *Executor) keepLeft(p Plan, a Action, done []Outcome, out Outcome) {
	if a.Kind != ActDo || out.Class != store.StepOK {
		return
	}
	if carry, _ := carries(p.Steps[a.Step]); !carry {
		return
	}
	l, err := lookAtLeft(p, p.Steps[a.Step], lastLeft(p, done), out)
	if out.Carried { // the files that the parent's step left in the shared directory are gone
		was, _ := leftOf(p.Parent.RunDir, p.Steps[a.Step].Name)
		l.Work = was.Work
	}
	if err == nil {
		err = writeLeft(AttemptDir(p.RunDir, p.Steps[a.Step].Name, a.Attempt), l)
	}
	if err != nil {
		x.Log.Warn("cannot record the step's files: a retry will run the step again",
			"run_id", p.Run, "step", title(p, a), "err", err)
	}
}

func writeLeft(dir string, l left) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, leftName), []byte(mustJSON(l)+"\n"), 0o600)
}

// lastLeft returns the newest record that a step of a run has left, or an empty one.
func lastLeft(p Plan, done []Outcome) left {
	for i := len(done) - 1; i >= 0; i-- {
		o := done[i]
		if o.Kind != ActDo || o.Class != store.StepOK || o.Step >= len(p.Steps) {
			continue
		}
		if l, err := readLeft(AttemptDir(p.RunDir, p.Steps[o.Step].Name, o.Attempt)); err == nil {
			return l
		}
	}
	return left{}
}

func readLeft(dir string) (left, error) {
	var l left
	b, err := os.ReadFile(filepath.Join(dir, leftName))
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	return l, err
}

// leftOf returns the record of a step's last attempt in a run's directory.
func leftOf(runDir, step string) (left, bool) {
	entries, err := os.ReadDir(filepath.Join(runDir, "steps", step))
	if err != nil {
		return left{}, false
	}
	last := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "a")); err == nil && n > last {
			last = n
		}
	}
	l, err := readLeft(AttemptDir(runDir, step, last))
	return l, err == nil
}

// lookAtLeft scans a run's directories after a step. The hashes in before, the record of the previous step, are reused
// for unchanged files.
func lookAtLeft(p Plan, step Step, before left, out Outcome) (left, error) {
	l := left{Outcome: out, Code: stepCode(step, p.Serving)}
	var err error
	if l.Data, err = listFiles(p.dataDir(), before.Data); err != nil {
		return l, err
	}
	if l.Release, err = listFiles(p.releaseDir(), before.Release); err != nil {
		return l, err
	}
	sum, size, err := sumTree(p.workDir())
	if err != nil {
		return l, err
	}
	l.Sum, l.Work = sum, sum != before.Sum && sum != ""
	for _, f := range append(l.Data, l.Release...) {
		size += f.Bytes
	}
	l.Total, l.Grew = size, max(0, size-before.Total)
	return l, nil
}

// stepCode returns a digest of a step's definition, without its timeout and its retries, and of the files that its
// arguments name.
func stepCode(s Step, c serving.Config) string {
	s.Timeout, s.Retries = 0, 0
	if s.Do != DoExport { // only an export depends on the prompts
		c = serving.Config{}
	}
	return CodeDigest([]Step{s}, c)
}

// listFiles lists the files below a directory, with their hashes. It refuses anything but regular files. A missing
// directory has no files.
func listFiles(dir string, known []leftFile) ([]leftFile, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	hashed := map[string]leftFile{}
	for _, f := range known {
		hashed[f.Path] = f
	}
	var list []leftFile
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := root.Lstat(path)
		if err != nil {
			return err
		}
		switch {
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is %s", path, files.KindOf(info.Mode()))
		case len(list) == maxReleaseFiles:
			return fmt.Errorf("more than %d files", maxReleaseFiles)
		}
		f := hashed[path]
		if f.Path == "" || f.Bytes != info.Size() || !f.Changed.Equal(written(info)) {
			if f.File, err = hashFile(root, path); err != nil {
				return err
			}
			f.Changed = written(info)
		}
		list = append(list, f)
		return nil
	})
	return list, err
}

// sumTree returns a digest over names, sizes and times of the files below a directory, "" for none, and their total
// size.
func sumTree(dir string) (sum string, size int64, err error) {
	h := sha256.New()
	n := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n++
		if info.Mode().IsRegular() {
			size += info.Size()
			_, err = fmt.Fprintf(h, "%s\x00%d\x00%s\n", path, info.Size(), written(info))
			return err
		}
		_, err = io.WriteString(h, path+"\n")
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if n == 0 {
		return "", size, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, err
}
