package backend

import (
	"context"
	"encoding/json"

	"github.com/retraind/retraind/actions"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

// Releases implements status.Reader.
func (b *Backend) Releases(ctx context.Context, model string) ([]status.Release, error) {
	if _, err := b.model(model); err != nil {
		return nil, err
	}
	var out []status.Release
	err := b.o.Store.View(ctx, func(t *store.Tx) error {
		releases, err := t.Releases(model, 100)
		for _, r := range releases {
			var g actions.GateFacts
			if err := json.Unmarshal([]byte(r.Metrics), &g); err != nil {
				return err
			}
			shown := status.Release{
				Digest: r.Digest, Run: r.Run, State: r.State, Created: r.Created,
				Accuracy: compared(&g),
			}
			if r.Pinned != "" {
				shown.Pinned = &status.Pin{}
				if err := json.Unmarshal([]byte(r.Pinned), shown.Pinned); err != nil {
					return err
				}
			}
			out = append(out, shown)
		}
		return err
	})
	return out, err
}
