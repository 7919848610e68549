package ollamatags

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving/ollama"
)

// Place is a model on a server.
type Place struct {
	URL   string `json:"url"`
	Model string `json:"model"` // the name that clients ask for
	// Store is the directory in which the server keeps its models, to look at its free space; "" where it is not known.
	Store string `json:"store,omitempty"`
	// State is the file that records the names that were made.
	State string `json:"state"`
}

// formerName is the name under which what served before the first release is kept.
func formerName(model, digest string) string {
	base := strings.TrimSuffix(ollama.Tagged(model), ":"+tagOf(model))
	return base + ":former-" + digest[:min(12, len(digest))]
}

// tagOf is what stands after the name of a model.
func tagOf(model string) string {
	tagged := ollama.Tagged(model)
	return tagged[strings.LastIndexByte(tagged, ':')+1:]
}

// names maps what the server has to the digests of their manifests. A name that was half written is not among them.
func names(ctx context.Context, c *ollama.Client) (map[string]string, error) {
	list, err := c.Models(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(list))
	for _, m := range list {
		out[m.Name] = m.Digest
	}
	return out, nil
}

// patience is how long a server may be away, or a name not readable, in the middle of a change.
const patience = 2 * time.Minute

// insist repeats a request while the server is away, busy, or in the middle of writing the name that is asked for.
func insist(ctx context.Context, ask func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 2*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := ask()
		if err != nil && !passes(err) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(patience))
	return err
}

// passes says whether an error is one that goes by itself: a server that restarts, a queue that is full, and the moment in
// which a name is written, when the server finds half a file.
func passes(err error) bool {
	var e *ollama.Error
	switch {
	case errors.Is(err, ollama.ErrAway), errors.Is(err, ollama.ErrBusy):
		return true
	case errors.Is(err, ollama.ErrDiskFull), errors.Is(err, ollama.ErrSchema), errors.Is(err, ollama.ErrTooLong):
		return false
	case errors.As(err, &e):
		return e.Status == 500 && !errors.Is(err, ollama.ErrCannotLoad) && !errors.Is(err, ollama.ErrNotFound)
	}
	return false
}

// StoreOf is the directory in which a server of this host keeps its models, as far as it can be told without asking.
func StoreOf(server, configured string) string {
	if configured != "" {
		return configured
	}
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return ""
	}
	usual := []string{"/usr/share/ollama/.ollama/models", "/var/lib/ollama/models", "/var/lib/ollama/.ollama/models"}
	if home, err := os.UserHomeDir(); err == nil {
		usual = append(usual, filepath.Join(home, ".ollama/models"))
	}
	for _, dir := range usual {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return ""
}

// room refuses to go on where the server's disk has less left than need.
func (p Place) room(need int64) error {
	var s syscall.Statfs_t
	if p.Store == "" || syscall.Statfs(p.Store, &s) != nil {
		return nil //nolint:nilerr // the free space is unknown: the server reports a full disk itself
	}
	if free := int64(s.Bavail) * s.Bsize; free < need {
		return fmt.Errorf("%w: it needs %v, and %s has %v left: remove models that nobody needs (ollama list, ollama rm)",
			syscall.ENOSPC, unit.Size(need), p.Store, unit.Size(free))
	}
	return nil
}
