package postgres

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
)

// TestFailover promotes a standby that has not received the last transactions. Each capture detects that the server's
// timeline has changed, reports it, and reads everything: changes that the new primary lacks disappear from the sink.
func TestFailover(t *testing.T) {
	t.Parallel()
	l := ownLab(t)
	address := filepath.Join(t.TempDir(), "dsn") // an address that moves with the primary
	var bundles []*bundle
	var sources []*Source
	for _, capture := range captures {
		b := l.setup(t, capture, itemsSQL+";"+touched, itemsConfig)
		dsn := b.cfg.DSN
		b.cfg.DSN, b.cfg.DSNFile = "", address+"-"+string(capture)
		if capture == CapturePoll {
			b.cfg.Compare = unit.Duration(DefaultCompare) // so that no periodic compare finds the loss first
		}
		if err := os.WriteFile(b.cfg.DSNFile, []byte(dsn), 0o600); err != nil {
			t.Fatal(err)
		}
		b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'copied' FROM generate_series(1, 100) g`)
		source, _ := b.start()
		b.ready()
		bundles, sources = append(bundles, b), append(sources, source)
	}
	standby, err := l.cluster.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, b := range bundles { // a standby can be followed by no capture, and the error explains it
		cfg := *b.cfg
		dsn, err := os.ReadFile(cfg.DSNFile)
		if err != nil {
			t.Fatal(err)
		}
		cfg.DSN, cfg.DSNFile = strings.Replace(string(dsn), l.cluster.Dir(), standby.Dir(), 1), ""
		source, err := New("m", &cfg, newMemory(), nil, discard)
		if err != nil {
			t.Fatal(err)
		}
		limited, cancel := context.WithTimeout(t.Context(), waittest.Patience)
		err = source.follow(limited, func() {})
		cancel()
		if err == nil || !strings.Contains(err.Error(), "is a standby") || !strings.Contains(err.Error(), "name the primary") {
			t.Errorf("%s: a standby: %v", cfg.capture(), err)
		}
	}
	// From here on the standby receives nothing, so the changes will be lost.
	alone := connect(t, standby.DSN("postgres"))
	for _, sql := range []string{`ALTER SYSTEM SET primary_conninfo = ''`, `SELECT pg_reload_conf()`} {
		if _, err := alone.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	gone := func() (n int) {
		if err := alone.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_wal_receiver`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	bundles[0].sink.until(t, "the standby to be cut off", func() bool { return gone() == 0 })
	for _, b := range bundles {
		b.exec(`UPDATE items SET category = 'lost' WHERE id <= 50`)
		b.exec(`INSERT INTO items (id, title, category) VALUES (500, 't', 'lost')`)
		b.exec(`DELETE FROM items WHERE id = 99`)
		b.sink.until(t, "the changes that will be lost",
			func() bool { return b.sink.items["50"].Labels["label"] == "lost" && len(b.sink.items) >= 100 })
	}
	if err := l.cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, b := range bundles {
		dsn, err := os.ReadFile(b.cfg.DSNFile)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.cfg.DSNFile, []byte(strings.Replace(string(dsn), l.cluster.Dir(), standby.Dir(), 1)),
			0o600); err != nil {
			t.Fatal(err)
		}
		b.sink.until(t, "the second whole table", func() bool { sources[i].Retry(); return b.sink.full == 2 })
		b.sink.equalsTable(t, "m", b.cfg)
		items := b.sink.snapshot()
		if items["50"].Labels["label"] != "copied" || items["99"].ID == "" || items["500"].ID != "" {
			t.Errorf("%s: the sink still holds what was lost: %v", captures[i], items["50"])
		}
		b.sink.until(t, "health", func() bool { return sources[i].Health().Up })
		if h := sources[i].Health(); !strings.Contains(h.Notice, "another timeline (2 instead of 1") {
			t.Errorf("%s: the notice does not say why: %+v", captures[i], h)
		}
		// The source continues on the new primary.
		conn := connect(t, strings.Replace(string(dsn), l.cluster.Dir(), standby.Dir(), 1))
		if _, err := conn.Exec(t.Context(), `UPDATE items SET category = 'after' WHERE id = 7`); err != nil {
			t.Fatal(err)
		}
		b.sink.equalsTable(t, "m", b.cfg)
	}
}
