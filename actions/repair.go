package actions

import (
	"context"
	"fmt"

	"github.com/retraind/retraind/store"
)

// damaged says what is wrong with the files of the champion of a plan, "" if they are as they were sealed.
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

// CheckFiles reads the files of a release and compares them with its manifest. An adopted release has none.
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

// repaired records that the champion's files lie in the directory of a run that trained it again, because its own were
// damaged. Everything else about the champion stays.
func (x *Executor) repaired(t *store.Tx, p Plan, sum Summary) error {
	r, err := t.Release(p.Model, p.Champion)
	if err != nil {
		return err
	}
	r.Path, r.Run, r.State = p.releaseDir(), p.Run, store.ReleaseChampion
	return t.PutRelease(r)
}
