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

	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving/ollama"
)

// Place is one model on one server.
type Place struct {
	URL   string `json:"url"`
	Model string `json:"model"` // the name that clients use
	// Store is the server's model directory, for checks of the free space; "" if unknown.
	Store string `json:"store,omitempty"`
	// State is the file that records the created names.
	State string `json:"state"`
}

// formerName returns the additional name that pin gives to a model in service without a recorded name.
func formerName(model, digest string) string {
	base := strings.TrimSuffix(ollama.Tagged(model), ":"+tagOf(model))
	return base + ":former-" + digest[:min(12, len(digest))]
}

// tagOf returns the tag in the name of a model.
func tagOf(model string) string {
	tagged := ollama.Tagged(model)
	return tagged[strings.LastIndexByte(tagged, ':')+1:]
}

// names returns the server's names with the digests of their manifests. Names with an incomplete manifest are left out.
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

// running lists the loaded models.
func running(ctx context.Context, c *ollama.Client) (list []ollama.Running, err error) {
	err = insist(ctx, func() (err error) { list, err = c.Running(ctx); return err })
	return list, err
}

// patience is how long to retry a request while the server is unreachable or a name cannot be read.
const patience = 2 * time.Minute

// insist repeats a request while the server is unreachable, busy, or still writing the requested name, at most for
// patience.
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

// passes reports whether an error is transient: a restarting server, a full queue, or an incomplete manifest while the
// server writes a name.
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

// StoreOf returns the model directory of a server on this host; "" if it cannot be determined without a request.
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

// room returns an error if the server's disk has fewer than need bytes left.
func (p Place) room(need int64) error {
	var s syscall.Statfs_t
	if p.Store == "" || syscall.Statfs(p.Store, &s) != nil {
		return nil //nolint:nilerr // the free space is unknown: the server reports a full disk itself
	}
	if free := int64(s.Bavail) * s.Bsize; free < need {
		return fmt.Errorf("%w: %s is needed, but %s has only %s free; remove unused models (ollama list, ollama rm)",
			syscall.ENOSPC, text.Bytes(need), p.Store, text.Bytes(free))
	}
	return nil
}
