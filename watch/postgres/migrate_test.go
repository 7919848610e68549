package postgres

import (
	"testing"
)

// TestDownMigrateUp: between the SQL of init --down and that of init, a watched column can be renamed or get another
// type. Writes that are made in between are found.
func TestDownMigrateUp(t *testing.T) {
	t.Parallel()
	for name, stopped := range map[string]bool{"running": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, itemsSQL, itemsConfig)
			b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'x' FROM generate_series(1, 5) g`)
			_, stop := b.start()
			b.ready()
			if stopped {
				stop()
			}
			run := func(render func(string, *Config) (string, error), cfg *Config) {
				t.Helper()
				sql, err := render("m", cfg)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
					t.Fatal(err)
				}
			}
			b.exec(`UPDATE items SET category = 'before' WHERE id = 1`)
			run(Down, b.cfg)
			b.exec(`UPDATE items SET category = 'between' WHERE id = 2`)
			b.exec(`DELETE FROM items WHERE id = 3`)
			b.exec(`ALTER TABLE items ALTER title TYPE varchar(80)`)
			b.exec(`ALTER TABLE items RENAME category TO topic`)
			b.exec(`INSERT INTO items (id, title, topic) VALUES (6, 'new', 'between')`)
			renamed := *b.cfg
			renamed.Label = "topic"
			run(Migration, &renamed)
			b.exec(`UPDATE items SET topic = 'after' WHERE id = 4`)
			stop()
			b.cfg = &renamed
			b.start()
			b.sink.until(t, "the second read", func() bool { return b.sink.full == 2 })
			b.sink.equalsTable(t, "m", b.cfg)
			b.exec(`UPDATE items SET topic = 'later' WHERE id = 5`)
			b.sink.equalsTable(t, "m", b.cfg)
		})
	}
}
