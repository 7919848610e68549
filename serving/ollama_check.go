package serving

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/retraind/retraind/internal/check"
)

// CheckOllama checks that the server has the model of a validated configuration, without loading it. A missing model
// is a warning, since the first run creates it.
func CheckOllama(ctx context.Context, c Config) check.Problems {
	var p check.Problems
	m, err := newLanguageModel(c.WithDefaults())
	if err != nil {
		p.Errorf("ollama", "", "%v", err)
		return p
	}
	defer m.client.Close()
	if address := exposed(ctx, m.client.URL()); address != "" {
		p.Warnf("ollama", "let the server listen on 127.0.0.1 (OLLAMA_HOST), or put a proxy with a login in front of it",
			"the Ollama server can be reached at %s: it has no login, and every client can replace the model", address)
	}
	_, err = m.health(ctx)
	if errors.Is(err, ErrAsleep) {
		p.Warnf("ollama.model", "this is normal before the first release", "%v", err)
		return p
	}
	if err != nil {
		p.Errorf("ollama.model", "", "%v", err)
		return p
	}
	info, err := m.client.Show(ctx, m.config.Model)
	switch {
	case err != nil:
		p.Errorf("ollama.model", "", "%v", err)
	case m.config.SystemFile != "" && strings.TrimSpace(info.System) != strings.TrimSpace(m.config.System):
		p.Warnf("ollama.system_file", "requests contain no system prompt, so the model's own one is used: create the model with the prompt of the file, or correct the file",
			"the deployed model has another system prompt: %s", Excerpt([]byte(info.System)))
	}
	return p
}

// exposed returns an address of the server that other hosts may reach: the configured one unless it is a loopback
// address, else an address of this host at which the server answers. It returns "" if it finds none.
func exposed(ctx context.Context, base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	host, port := u.Hostname(), u.Port()
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return u.Host
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil || port == "" {
		return ""
	}
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().IsGlobalUnicast() {
			continue
		}
		d := net.Dialer{Timeout: 200 * time.Millisecond}
		address := net.JoinHostPort(prefix.Addr().String(), port)
		if conn, err := d.DialContext(ctx, "tcp", address); err == nil {
			_ = conn.Close()
			return address
		}
	}
	return ""
}
