package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// Pin implements status.Backend.
func (b *Backend) Pin(ctx context.Context, model, release string, p status.Pin) (status.Done, error) {
	p.At = time.Now().UTC()
	p.By, _, _ = strings.Cut(p.By, " (") // "anna (uid 1000, pid 4711)" becomes "anna"
	return b.setPinned(ctx, model, release, p.By, func(store.Release) (string, string, error) {
		pinned, err := json.Marshal(p)
		return string(pinned), "is pinned: retention does not remove it", err
	})
}

// Unpin implements status.Backend.
func (b *Backend) Unpin(ctx context.Context, model, release, by string) (status.Done, error) {
	return b.setPinned(ctx, model, release, by, func(r store.Release) (string, string, error) {
		if r.Pinned == "" {
			return "", "", fmt.Errorf("%w: release %s is not pinned", status.ErrRefused, text.Digest(r.Digest))
		}
		return "", "is no longer pinned", nil
	})
}

func (b *Backend) setPinned(ctx context.Context, model, release, by string,
	pin func(store.Release) (pinned, what string, err error),
) (status.Done, error) {
	var done status.Done
	if _, err := b.model(model); err != nil {
		return done, err
	}
	err := b.o.Store.Update(ctx, "pin", func(t *store.Tx) error {
		r, err := releaseBy(t, model, release)
		if err != nil {
			return err
		}
		pinned, what, err := pin(r)
		if err != nil {
			return err
		}
		if _, err := t.SetPinned(model, r.Digest, pinned); err != nil {
			return err
		}
		done.Text = "release " + text.Digest(r.Digest) + " " + what
		return nil
	})
	if err == nil {
		b.o.Log.Info("the pin of a release was changed", "model", model, "by", by, "change", done.Text)
	}
	return done, err
}

// releaseBy finds a release by its digest or by the beginning of the digest, as `retraind models show` prints it.
func releaseBy(t *store.Tx, model, given string) (found store.Release, err error) {
	const most = 1000
	releases, err := t.Releases(model, most)
	if err != nil {
		return found, err
	}
	var matches []store.Release
	for _, r := range releases {
		_, hash, _ := strings.Cut(r.Digest, ":")
		if given != "" && (strings.HasPrefix(r.Digest, given) || strings.HasPrefix(hash, given)) {
			matches = append(matches, r)
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return found, fmt.Errorf("%w: model %s has no release %s; retraind models show %[2]s lists them", status.ErrNotFound,
			model, given)
	}
	return found, fmt.Errorf("%w: release %s is ambiguous: %d releases start with it; write more of the digest",
		status.ErrRefused, given, len(matches))
}
