package postgres

import (
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/unit"
)

// TestDemotedTriggers: DISABLE TRIGGER ALL and ENABLE TRIGGER ALL reset ENABLE ALWAYS triggers to ordinary ones. The
// source and check report it.
func TestDemotedTriggers(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, func(dsn string) *Config {
		cfg := itemsConfig(dsn)
		cfg.Poll = unit.Duration(50e6)
		return cfg
	})
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	source, _ := b.start()
	b.ready()
	const missed = "are no longer ENABLE ALWAYS"
	if said := render(Check(t.Context(), "m", b.cfg)); strings.Contains(said, missed) {
		t.Fatalf("check says\n%s", said)
	}
	b.exec(`ALTER TABLE items DISABLE TRIGGER ALL`)
	b.exec(`ALTER TABLE items ENABLE TRIGGER ALL`)
	b.sink.until(t, "the notice", func() bool { return strings.Contains(source.Health().Notice, missed) })
	found := Check(t.Context(), "m", b.cfg)
	if len(found) != 1 || !found[0].Warning ||
		!strings.Contains(found[0].Message, missed+" for author, insert, update, delete, truncate") {
		t.Fatalf("check says\n%s", render(found))
	}
	b.sink.until(t, "the second whole table", func() bool { return b.sink.full == 2 })
	b.exec(`SET session_replication_role = replica`)
	b.exec(`UPDATE items SET category = 'missed' WHERE id = 1`)
	b.exec(`RESET session_replication_role`)
	mend, _, _ := strings.Cut(found[0].Hint, ";")
	b.exec(mend)
	b.sink.until(t, "the missed change", func() bool { return b.sink.items["1"].Labels["label"] == "missed" })
	b.sink.until(t, "the end of the notice", func() bool { return !strings.Contains(source.Health().Notice, missed) })
}
