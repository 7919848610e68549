package watch

import (
	"context"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
)

// TestRowIsReadOnceItsCommitIsVisible: a commit that waits for a synchronous standby is in the log, and nobody sees it
// yet. What the log leaves out of it must not be read from the row as it was.
func TestRowIsReadOnceItsCommitIsVisible(t *testing.T) {
	t.Parallel()
	settings := pgtest.Logical()
	settings["synchronous_standby_names"], settings["synchronous_commit"] = "nobody", "local"
	l := &lab{pgtest.Cluster(t, pgcluster.Options{Settings: settings})}
	b := l.setup(t, CaptureLogical, itemsSQL, itemsConfig)
	b.exec(`ALTER TABLE items ALTER content SET STORAGE EXTERNAL`)
	b.exec(`INSERT INTO items (id, title, content, category) VALUES (1, 'before', repeat('o', 9000), 'x')`)
	b.start()
	b.ready()
	writer := connect(t, b.cfg.DSN)
	pid := writer.PgConn().PID()
	committed := make(chan error, 1)
	go func() {
		// The second update changes no content, so that the log has none with it.
		_, err := writer.PgConn().Exec(context.Background(), `BEGIN; SET LOCAL synchronous_commit = on;
			UPDATE items SET content = repeat('n', 9000); UPDATE items SET title = 'after', category = 'y'; COMMIT`).ReadAll()
		committed <- err
	}()
	b.sink.until(t, "the commit to wait", func() bool {
		return b.count(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'`, pid) == 1
	})
	b.sink.until(t, "the reader to come to it", func() bool {
		asks := b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'SELECT pg_current_snapshot()::text%'`)
		return asks > 0 || len(b.sink.changes) > 0
	})
	if changes := b.sink.log(); len(changes) > 0 {
		t.Errorf("told before anybody can see it: %.200v", changes)
	}
	b.exec(`SELECT pg_cancel_backend($1)`, pid) // it commits without the standby
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	b.sink.equalsTable(t, "m", b.cfg)
	if got := b.sink.snapshot()["1"]; got.Text["title"] != "after" || !strings.HasPrefix(got.Text["content"], "nnn") {
		t.Errorf("the item is %.100v", got)
	}
}
