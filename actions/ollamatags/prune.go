package ollamatags

import (
	"context"
	"slices"

	"github.com/retraind/retraind/serving/ollama"
)

// prune deletes recorded names from the server and returns them. It keeps the names of the releases in stay, the name
// with the manifest in service, and the newest of the other names, up to the number keep. If a recorded name now refers
// to another manifest, another program has changed it: prune removes it from the record, but not from the server.
func prune(ctx context.Context, c *ollama.Client, p Place, s *State, keep int, stay []string) ([]string, error) {
	var have map[string]string
	if err := insist(ctx, func() (err error) { have, err = names(ctx, c); return err }); err != nil {
		return nil, err
	}
	var old []string
	for name, e := range s.Names {
		switch {
		case have[name] != e.Digest:
			delete(s.Names, name)
		case slices.Contains(stay, e.Release), e.Digest == have[ollama.Tagged(p.Model)]:
		default:
			old = append(old, name)
		}
	}
	slices.SortFunc(old, func(a, b string) int { return s.Names[b].Made.Compare(s.Names[a].Made) })
	old = old[min(keep, len(old)):]
	for _, name := range old {
		if err := p.forget(ctx, c, s, name); err != nil {
			return nil, err
		}
	}
	return old, nil
}
