package ledger

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/retraind/retraind/internal/text"
)

// Standing is the state of a thing compared with its entry.
type Standing string

// The standings.
const (
	Untouched Standing = "untouched" // it runs as the recorded instance
	Off       Standing = "off"
	Leaving   Standing = "leaving" // it is being stopped
	Again     Standing = "again"   // it runs, as another instance
	Gone      Standing = "gone"    // it cannot run: removed, or masked
	Exchanged Standing = "exchanged"
)

// State is the result of Hand.Look.
type State struct {
	Standing Standing
	Ready    bool   // it works, as far as this kind can be checked
	Detail   string // for people: why it is not ready, or what replaced it
	Thing    Thing  // as it runs now; valid for Untouched and Again only
}

// Runs reports whether the thing holds, or may hold, the memory that it was stopped for.
func (s State) Runs() bool {
	return s.Standing == Untouched || s.Standing == Again || s.Standing == Leaving
}

// Hand checks, stops and starts things of one kind. Implementations: Containers, Units, Models; all pass one
// conformance test. Stop and Start are idempotent.
type Hand interface {
	Look(ctx context.Context, t Thing) (State, error)
	// Stop requests the stop. It waits until the thing is off if the kind supports that; otherwise Look reports it.
	Stop(ctx context.Context, t Thing) error
	// Start requests the start; Look reports when it is done.
	Start(ctx context.Context, t Thing) error
}

func (l *Ledger) hand(k Kind) (Hand, error) {
	if h := l.Hands[k]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("this version cannot control anything of kind %q", k)
}

// Look returns the state of a thing.
func (l *Ledger) Look(ctx context.Context, t Thing) (State, error) {
	h, err := l.hand(t.Kind)
	if err != nil {
		return State{}, err
	}
	return h.Look(ctx, t)
}

// Stop stops a thing. Record it with Note first.
func (l *Ledger) Stop(ctx context.Context, t Thing) error {
	h, err := l.hand(t.Kind)
	if err != nil {
		return err
	}
	return h.Stop(ctx, t)
}

const healthPatience = 5 * time.Second

// healthy requests a thing's health URL and returns why it is not healthy, "" if it is.
func healthy(ctx context.Context, url string) string {
	if url == "" {
		return ""
	}
	ctx, stop := context.WithTimeout(ctx, healthPatience)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err.Error()
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxEntry))
	if response.StatusCode/100 != 2 {
		return fmt.Sprintf("%s answers %s", text.URL(url), response.Status)
	}
	return ""
}
