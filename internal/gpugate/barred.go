package gpugate

import (
	"net"
	"net/url"
	"slices"
	"strconv"

	"github.com/retraind/retraind/actions/ledger"
	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
)

// lend records for Barred what a run is about to stop; an empty list removes the record. Call it before anything is
// stopped, and before the restore.
func (g *Gate) lend(run string, stop []gpu.StopConfig) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(stop) == 0 {
		delete(g.lent, run)
		return
	}
	g.lent[run] = stop
}

// Barred returns why a model's classifier must not be queried now, or "" if it may be queried. It must not be queried
// if a run has stopped it, or if a request would load a model into the GPU of a run. Barred implements
// evaluator.Barrier.
func (g *Gate) Barred(model string) string {
	m := g.o.File().Models[model]
	if m == nil {
		return ""
	}
	entries, _, err := g.o.Ledger.Entries()
	if err != nil {
		return "" // unknown: a request to the service shows whether it runs
	}
	for _, e := range entries {
		if serves(e.Thing, m.Serving) {
			return e.Thing.String() + " was stopped by run " + text.RunID(e.Run.ID)
		}
	}
	if m.Serving.Ollama == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for run, stop := range g.lent {
		for _, c := range stop {
			if len(c.Ollama) > 0 && c.Server == m.Serving.Ollama.URL {
				return "the GPU is in use by run " + text.RunID(run)
			}
		}
	}
	return ""
}

// serves reports whether a model's classifier depends on a stopped thing. It does if the thing is an Ollama model on
// the classifier's server; a container that publishes the port of one of the classifier's URLs, at a loopback address;
// or any thing whose health is checked at the host and port of one of these URLs.
func serves(t ledger.Thing, c serving.Config) bool {
	if t.Loaded != nil {
		return c.Ollama != nil && c.Ollama.URL == t.Loaded.URL
	}
	urls := []string{c.Classify, c.Health}
	if c.Batch != nil {
		urls = append(urls, c.Batch.URL)
	}
	own := address(t.Healthy)
	return slices.ContainsFunc(urls, func(raw string) bool {
		a := address(raw)
		if a == "" {
			return false
		}
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			return false
		}
		ip := net.ParseIP(host)
		local := host == "localhost" || ip != nil && ip.IsLoopback()
		n, err := strconv.Atoi(port)
		return a == own || err == nil && local && t.Container != nil && slices.Contains(t.Container.Ports, n)
	})
}

// address returns the host and port of a URL, or "" if there is no URL.
func address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
