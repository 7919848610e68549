package postgres

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
)

// TestPreparedTransactions: a transaction that notifies cannot be prepared; with notify: false it can, and its changes
// arrive after its commit.
func TestPreparedTransactions(t *testing.T) {
	t.Parallel()
	l := &lab{pgtest.Cluster(t, pgcluster.Options{Settings: map[string]string{"max_prepared_transactions": "10"}})}
	for name, notify := range map[string]bool{"notify": true, "silent": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := l.setup(t, CaptureOutbox, itemsSQL, func(dsn string) *Config {
				cfg := quiet(dsn)
				cfg.Notify = &notify
				return cfg
			})
			b.exec(`INSERT INTO items (id, category) VALUES (1, 'x'), (2, 'x')`)
			source, err := New("m", b.cfg, b.sink, nil, discard)
			if err != nil {
				t.Fatal(err)
			}
			source.warnAfter = 1
			b.run(source)
			b.ready()
			said := render(Check(t.Context(), "m", b.cfg))
			if strings.Contains(said, "PREPARE TRANSACTION fails") != notify {
				t.Errorf("check says\n%s", said)
			}
			if notify {
				b.sleeping()
				b.exec(`BEGIN`)
				b.exec(`UPDATE items SET category = 'y' WHERE id = 1`)
				if _, err := b.conn.Exec(t.Context(), `PREPARE TRANSACTION 'woken'`); err == nil {
					t.Error("a transaction that notifies was prepared: notify: false is no longer needed")
				}
				return
			}
			b.exec(`BEGIN`)
			b.exec(`UPDATE items SET category = 'y' WHERE id = 1`)
			b.exec(`PREPARE TRANSACTION 'p'`)
			b.exec(`UPDATE items SET category = 'z' WHERE id = 2`)
			b.sink.until(t, "the other change", func() bool { return b.sink.items["2"].Labels["label"] == "z" })
			b.sink.until(t, "the notice", func() bool { return strings.Contains(source.Health().Notice, "ROLLBACK PREPARED 'p'") })
			if got := b.sink.snapshot()["1"].Labels["label"]; got != "x" {
				t.Errorf("before the commit the item has %q", got)
			}
			b.exec(`COMMIT PREPARED 'p'`)
			b.sink.until(t, "the prepared change", func() bool { return b.sink.items["1"].Labels["label"] == "y" })
			b.sink.equalsTable(t, "m", b.cfg)
		})
	}
}
