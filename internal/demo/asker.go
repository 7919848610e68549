package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// asker is a client of the classifier that sends requests continuously, across deployments.
type asker struct {
	url      string
	items    []Item
	requests atomic.Int64
	failed   atomic.Int64

	mu    sync.Mutex
	first string // the first failure; guarded by mu
}

const (
	askers   = 2
	askEvery = 4 * time.Millisecond
)

func (a *asker) run(ctx context.Context) {
	var wg sync.WaitGroup
	for n := range askers {
		// Without keep-alive each request uses a new connection, as from many clients.
		client := &http.Client{
			Timeout: 10 * time.Second,
			Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext:       (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			},
		}
		wg.Go(func() {
			tick := time.NewTicker(askEvery)
			defer tick.Stop()
			for i := n; ; i += askers {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				err := a.ask(client, a.items[i%len(a.items)])
				a.requests.Add(1)
				if err != nil {
					a.failed.Add(1)
					a.mu.Lock()
					if a.first == "" {
						a.first = err.Error()
					}
					a.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
}

// ask sends one text. It takes no ctx, so that a request in progress is completed and counted correctly.
func (a *asker) ask(client *http.Client, it Item) error {
	body, err := json.Marshal(map[string]string{"title": it.Title, "content": it.Content})
	if err != nil {
		return err
	}
	resp, err := client.Post(a.url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct{ Label string }
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Label == "" {
		return fmt.Errorf("no label in the answer: %s", b)
	}
	return nil
}

func (a *asker) firstFailure() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first
}
