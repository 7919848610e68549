package status

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// How much of the past the page shows.
const (
	pageRuns    = 12
	pageHistory = 30 * 24 * time.Hour
)

// policyHeader restricts the page to its own files: no inline code, no other host, no frame around it.
const policyHeader = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page returns the handler of the read-only page, its stream of events and the metrics, for a listener on loopback.
func Page(backend Reader, metrics *Metrics, log *slog.Logger) (http.Handler, error) {
	templates, err := parseTemplates()
	if err != nil {
		return nil, err
	}
	p := page{backend, templates, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /events", events(backend))
	mux.Handle("GET /metrics", metrics.Handler())
	for name, kind := range map[string]string{
		"style.css": "text/css", "app.js": "text/javascript",
		"icon.svg": "image/svg+xml",
	} {
		data, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return nil, err
		}
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		})
	}
	return guarded(mux), nil
}

func parseTemplates() (*template.Template, error) {
	t, err := template.ParseFS(assets, "assets/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the page: %w", err)
	}
	return t, nil
}

// guarded sets the headers that keep other sites out. It refuses host names other than localhost, because a hostile
// site could resolve its own name to this address and read the page. It accepts every IP address.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policyHeader)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && host != "localhost" {
			http.Error(w, "this host name is refused: open the page as localhost or by IP address", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type page struct {
	backend   Reader
	templates *template.Template
	log       *slog.Logger
}

func (p page) show(w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer
	if err := p.render(r.Context(), &out); err != nil {
		p.log.LogAttrs(r.Context(), slog.LevelWarn, "page not shown", slog.Any("err", err))
		http.Error(w, "the state could not be read: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(out.Bytes()) // if the client is gone, nobody needs the answer
}

// render renders the page into a buffer, so that an error never leaves half a page.
func (p page) render(ctx context.Context, out *bytes.Buffer) error {
	s, err := p.backend.Snapshot(ctx)
	if err != nil {
		return err
	}
	v := newPageView(s)
	for _, m := range s.Models {
		mv, err := p.model(ctx, s.At, m)
		if err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
		v.Models = append(v.Models, mv)
	}
	return p.templates.ExecuteTemplate(out, "page", v)
}

func (p page) model(ctx context.Context, now time.Time, m Model) (modelView, error) {
	history, err := p.backend.History(ctx, m.Name, now.Add(-pageHistory))
	if err != nil {
		return modelView{}, err
	}
	runs, err := p.backend.Runs(ctx, m.Name, pageRuns)
	if err != nil {
		return modelView{}, err
	}
	releases, err := p.backend.Releases(ctx, m.Name)
	if err != nil {
		return modelView{}, err
	}
	explain, err := p.explain(ctx, now, m.Name)
	if err != nil {
		return modelView{}, err
	}
	v := newModelView(now, m)
	v.Chart = newChart(now, m, history, runs)
	v.Explain = explain
	for _, r := range runs {
		v.Runs = append(v.Runs, newRunView(now, r))
	}
	for _, r := range releases {
		v.Releases = append(v.Releases, newReleaseView(now, r))
	}
	return v, nil
}
