package postgres

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
)

// TestATableThatASubscriptionFills: statement-level triggers do not fire for the changes of a subscription, so
// row-level triggers are used.
func TestATableThatASubscriptionFills(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Cluster(t, pgcluster.Options{Settings: map[string]string{"wal_level": "logical"}})
	admin := &bundle{t: t, conn: connect(t, cluster.DSN("postgres"))}
	admin.exec(`CREATE DATABASE origin`)
	admin.exec(`CREATE DATABASE copy`)
	origin := &bundle{t: t, conn: connect(t, cluster.DSN("origin"))}
	b := &bundle{t: t, conn: connect(t, cluster.DSN("copy")), cfg: itemsConfig(cluster.DSN("copy")), sink: newMemory()}
	migrate := func() {
		t.Helper()
		sql, err := Migration("m", b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	origin.exec(itemsSQL)
	b.exec(itemsSQL)
	migrate()
	origin.exec(`CREATE PUBLICATION p FOR TABLE items`)
	origin.exec(`SELECT pg_create_logical_replication_slot('s', 'pgoutput')`)
	b.exec(`CREATE SUBSCRIPTION s CONNECTION ` + literal(cluster.DSN("origin")) + ` PUBLICATION p WITH (create_slot = false, slot_name = 's', copy_data = false)`)
	if found := render(Check(t.Context(), "m", b.cfg)); !strings.Contains(found, "filled by a subscription") {
		t.Errorf("triggers of another shape are not found: %s", found)
	}
	migrate()
	if found := render(Check(t.Context(), "m", b.cfg)); found != "" {
		t.Error(found)
	}
	b.start()
	b.ready()
	origin.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'a' FROM generate_series(1, 20) AS g`)
	origin.exec(`UPDATE items SET category = 'b' WHERE id <= 10`)
	origin.exec(`DELETE FROM items WHERE id = 20`)
	b.sink.until(t, "what was replicated",
		func() bool { return len(b.sink.items) == 19 && b.sink.items["10"].Labels["label"] == "b" })
	b.sink.equalsTable(t, "m", b.cfg)
}
