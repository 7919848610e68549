package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/durable"
)

// recordFile lists the files that retraind has placed below directories. With it, files that only the previous release
// had are removed when the next one is placed: a program that loads all files of a directory would otherwise load them
// too.
const recordFile = "placed.json"

func readRecord(path string) (list []string, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return list, nil
}

func writeRecord(path string, list []string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	slices.Sort(list)
	b, err := json.MarshalIndent(slices.Compact(list), "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}

// recorded calls the function do, which places the files of pairs. Then it removes those files below placed directories
// that only an earlier release had. Until that is done the record lists the files of both releases, so that a crash
// leaves no file unrecorded.
func (p placer) recorded(dir *os.Root, pairs []pair, do func() error) error {
	before, err := readRecord(p.record)
	if err != nil {
		return err
	}
	var now []string
	for _, pair := range pairs {
		if pair.inside {
			now = append(now, pair.at)
		}
	}
	if len(before)+len(now) == 0 {
		return do()
	}
	if err := writeRecord(p.record, slices.Concat(before, now)); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	if err := p.removeOthers(dir, before, now); err != nil {
		return err
	}
	return writeRecord(p.record, now)
}

// inside reports whether a path is a placed directory, or below one.
func (p placer) inside(path string) bool {
	for _, to := range p.names {
		if strings.HasPrefix(path+"/", filepath.Clean(to)+"/") {
			return true
		}
	}
	return false
}

// removeOthers removes the files of list that are not in keep, and directories that become empty.
func (p placer) removeOthers(dir *os.Root, list, keep []string) error {
	for _, at := range list {
		if slices.Contains(keep, at) {
			continue
		}
		if info, err := dir.Lstat(at); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if err := dir.Remove(at); err != nil {
			return fmt.Errorf("remove %s of another release: %w", at, err)
		}
		for up := filepath.Dir(at); p.inside(up) && dir.Remove(up) == nil; { // stops at a directory that is not empty
			up = filepath.Dir(up)
		}
	}
	return nil
}

// keepRecord copies the present record to the kept files.
func (p placer) keepRecord(to string) error {
	list, err := readRecord(p.record)
	if err != nil || len(list) == 0 {
		return err
	}
	return writeRecord(filepath.Join(to, recordFile), list)
}

// forgetOthers removes the files that were placed after the former ones were kept, and restores the former record. It
// is called once the former files are restored.
func (p placer) forgetOthers(kept string, was map[string]string) error {
	now, err := readRecord(p.record)
	if err != nil || len(now) == 0 {
		return err
	}
	former, err := readRecord(filepath.Join(kept, recordFile))
	if err != nil {
		return err
	}
	return p.between(p.dir, p.dir, func(dir, _ *os.Root) error {
		var keep []string
		for at := range was {
			keep = append(keep, at)
		}
		if err := p.removeOthers(dir, now, keep); err != nil {
			return err
		}
		return writeRecord(p.record, former)
	})
}
