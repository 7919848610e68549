package postgres

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs/strictyaml"
)

// TestRowSecurity: rows that a policy hides are not deleted. The source refuses to read, and check reports it.
func TestRowSecurity(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, capture := range captures {
		t.Run(string(capture), func(t *testing.T) {
			t.Parallel()
			b := l.setup(t, capture, itemsSQL+";"+touched, itemsConfig)
			role := fmt.Sprintf("kept_%x", rand.Uint32())
			grants, err := Grants("m", b.cfg, role)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.conn.PgConn().Exec(t.Context(), grants).ReadAll(); err != nil {
				t.Fatal(err)
			}
			b.exec(`INSERT INTO items (id, category) SELECT g, 'x' FROM generate_series(1, 20) g`)
			b.cfg.DSN = strings.Replace(b.cfg.DSN, "user=postgres", "user="+role, 1)
			source, _ := b.start()
			b.ready()
			b.exec(`ALTER TABLE items ENABLE ROW LEVEL SECURITY`)
			b.exec(`CREATE POLICY mine ON items TO postgres USING (true)`)
			b.exec(`VACUUM FULL items`)
			said := render(Check(t.Context(), "m", b.cfg))
			if !strings.Contains(said, "row security hides rows of table public.items") || !strings.Contains(said, "BYPASSRLS") {
				t.Errorf("check says\n%s", said)
			}
			for _, err := range Export(t.Context(), "m", b.cfg) {
				if err == nil || !strings.Contains(err.Error(), "row security hides rows") {
					t.Errorf("the export says %v", err)
				}
			}
			if capture != CaptureLogical { // capture: logical has no reason to read the table again
				b.exec(`UPDATE items SET category = 'y' WHERE id = 1`)
				source.cfg.Compare = 1
				b.sink.until(t, "the trouble", func() bool { return strings.Contains(source.Health().Error, "row security") })
			}
			if n := len(b.sink.snapshot()); n != 20 {
				t.Errorf("%d of 20 items are left", n)
			}
			b.exec(fmt.Sprintf("ALTER ROLE %s BYPASSRLS", role))
			source.Retry()
			b.exec(`UPDATE items SET category = 'z' WHERE id = 2`)
			b.sink.until(t, "the change", func() bool { return b.sink.items["2"].Labels["label"] == "z" })
		})
	}
}

// TestShrinkGuardOfZero: 0% is the strictest guard, and not the default.
func TestShrinkGuardOfZero(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"shrink_guard: 0%": 0, "shrink_guard: 5%": 0.05, "poll: 30s": 0.2} {
		var c Config
		if _, err := strictyaml.Decode("f.yaml", []byte(text), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.shrinkGuard(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestShrinkGuard: a full read that misses most rows is refused, but accepted after a TRUNCATE.
func TestShrinkGuard(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	b.exec(`INSERT INTO items (id, category) SELECT g, 'x' FROM generate_series(1, 20) g`)
	source, stop := b.start()
	b.ready()
	stop()
	b.exec(`ALTER TABLE items DISABLE TRIGGER USER`)
	b.exec(`DELETE FROM items WHERE id > 8`)
	b.exec(`ALTER TABLE items ENABLE TRIGGER USER`)
	stop = b.run(source)
	b.sink.until(t, "the doubt", func() bool {
		return strings.Contains(source.Health().Error, "12 of 20 items are missing in table public.items, more than shrink_guard (20%) allows")
	})
	if n := len(b.sink.snapshot()); n != 20 {
		t.Errorf("%d of 20 items are left", n)
	}
	b.exec(`INSERT INTO items (id, category) SELECT g, 'x' FROM generate_series(9, 18) g`)
	source.Retry()
	b.sink.equalsTable(t, "m", b.cfg)
	stop()
	b.exec(`TRUNCATE items`)
	b.run(source)
	b.sink.equalsTable(t, "m", b.cfg)
}
