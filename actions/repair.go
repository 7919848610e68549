package actions

import (
	"context"
	"fmt"

	"github.com/retraind/retraind/store"
)

// damaged returns what is wrong with the champion's files, "" if they match their manifest.
func (x *Executor) damaged(ctx context.Context, p Plan) string {
	dir, err := x.championDir(ctx, p)
	if err == nil {
		err = CheckFiles(p.Champion, dir)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// CheckFiles compares the files of a release with its manifest. An adopted release has no files.
func CheckFiles(digest, dir string) error {
	if digest == "" || IsAdopted(digest) {
		return nil
	}
	r, err := ReadRelease(dir)
	if err == nil && r.Digest != digest {
		err = fmt.Errorf("release %s: its manifest names another release, %s", dir, r.Digest)
	}
	return err
}

// repaired records that the champion's files are now those of a run that trained it again, because the former files
// were damaged. Nothing else about the champion changes.
func (x *Executor) repaired(t *store.Tx, p Plan, sum Summary) error {
	r, err := t.Release(p.Model, p.Champion)
	if err != nil {
		return err
	}
	r.Path, r.Run, r.State = p.releaseDir(), p.Run, store.ReleaseChampion
	return t.PutRelease(r)
}
