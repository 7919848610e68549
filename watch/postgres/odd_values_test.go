package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

// TestPollWithAnOddWatermark: a row whose watermark is far beyond all others, such as infinity or a time from a wrong
// clock, does not hide the rows that are written later.
func TestPollWithAnOddWatermark(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, usual, odd string }{
		{"timestamptz", "clock_timestamp()", "'infinity'"},
		{"timestamptz", "clock_timestamp()", "'2099-01-01'"},
		{"timestamptz", "clock_timestamp()", "now() + interval '1 hour'"},
		{"timestamp", "clock_timestamp() AT TIME ZONE 'Pacific/Kiritimati'", "'2099-01-01'"},
		{"float8", "extract(epoch FROM clock_timestamp())", "'NaN'"},
		{"numeric", "extract(epoch FROM clock_timestamp())", "'NaN'"},
	} {
		t.Run(c.kind+" "+c.odd, func(t *testing.T) {
			t.Parallel()
			b := newLab(t).setup(t, CapturePoll, `CREATE TABLE items (id int PRIMARY KEY, txt text, cat text, mark `+c.kind+`)`,
				func(dsn string) *Config {
					return &Config{
						DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"txt"}, Label: "cat", Watermark: "mark",
					}
				})
			b.cfg.Compare = unit.Duration(time.Hour)
			b.exec(`INSERT INTO items VALUES (1, 't', 'x', ` + c.odd + `)`)
			b.start()
			b.ready()
			for id := range 12 {
				mark := c.usual
				if id == 5 {
					mark = c.odd
				}
				b.exec(`INSERT INTO items VALUES ($1, 't', 'x', `+mark+`)`, 2+id)
				b.sink.until(t, fmt.Sprint("row ", 2+id), func() bool { return len(b.sink.items) == 2+id })
			}
		})
	}
}

// TestPollComparesAfterTheClockWentBack: a compare at a time that is now in the future does not postpone the next one.
func TestPollComparesAfterTheClockWentBack(t *testing.T) {
	t.Parallel()
	b := newLab(t).setup(t, CapturePoll, itemsSQL+";"+touched, itemsConfig)
	b.cfg.Compare = unit.Duration(time.Hour)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x'), (2, 'y')`)
	_, stop := b.start()
	b.ready()
	stop()
	at, err := parsePollPosition(b.sink.cursor)
	if err != nil {
		t.Fatal(err)
	}
	at.Compared = at.Compared.Add(24 * time.Hour)
	b.sink.cursor = at.String()
	b.exec(`DELETE FROM items WHERE id = 1`)
	b.start()
	b.sink.until(t, "the deletion", func() bool { return len(b.sink.items) == 1 })
}

// TestPollWithAStoredOddFloor: a position that an earlier version stored with such a floor is repaired.
func TestPollWithAStoredOddFloor(t *testing.T) {
	t.Parallel()
	b := newLab(t).setup(t, CapturePoll, itemsSQL+";"+touched, itemsConfig)
	b.cfg.Compare = unit.Duration(time.Hour)
	_, stop := b.start()
	b.ready()
	stop()
	at, err := parsePollPosition(b.sink.cursor)
	if err != nil {
		t.Fatal(err)
	}
	at.Pending = []seenWatermark{{At: "infinity", Seen: at.Compared}}
	b.sink.cursor = at.String()
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.start()
	for id := range 10 {
		b.exec(`INSERT INTO items (id, category) VALUES ($1, 'x')`, 2+id)
		b.sink.until(t, fmt.Sprint("row ", 2+id), func() bool { return len(b.sink.items) == 2+id })
	}
}

// TestSlotOfTheDefaultDatabase: a connection string without a database means the one with the user's name, and the slot
// in it is retraind's own.
func TestSlotOfTheDefaultDatabase(t *testing.T) {
	t.Parallel()
	b := newLab(t).setup(t, CaptureLogical, itemsSQL, itemsConfig)
	name := b.conn.Config().Database
	b.exec("CREATE ROLE " + name + " SUPERUSER LOGIN")
	host, _, _ := strings.Cut(b.cfg.DSN, " ")
	b.cfg.DSN = host + " user=" + name
	for _, p := range Check(t.Context(), "m", b.cfg) {
		if !p.Warning {
			t.Errorf("%s: %s", p.Path, p.Message)
		}
	}
}

// TestGrantsOnAView: the rights that capture: poll needs on a view can be granted, although a view has no xmin.
func TestGrantsOnAView(t *testing.T) {
	t.Parallel()
	b := newLab(t).setup(t, CapturePoll, itemsSQL+`; CREATE VIEW seen AS SELECT * FROM items`, func(dsn string) *Config {
		cfg := itemsConfig(dsn)
		cfg.Table = "seen"
		return cfg
	})
	role := fmt.Sprintf("viewer_%x", rand.Uint32())
	grants, err := Grants("m", b.cfg, role)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.conn.PgConn().Exec(t.Context(), grants).ReadAll(); err != nil {
		t.Fatalf("%v in:\n%s", err, grants)
	}
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.cfg.DSN = strings.Replace(b.cfg.DSN, "user=postgres", "user="+role, 1)
	b.start()
	b.sink.equalsTable(t, "m", b.cfg)
}

// TestPaddedLabelThatLooksLikeJSON: a value of char(n) is one label, whatever its text is.
func TestPaddedLabelThatLooksLikeJSON(t *testing.T) {
	t.Parallel()
	b := setup(t, `CREATE TABLE items (id int PRIMARY KEY, txt text, cat char(12))`, func(dsn string) *Config {
		return &Config{DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"txt"}, Label: "cat"}
	})
	want := []string{"null", `["b", "a"]`}
	for i, label := range want {
		b.exec(`INSERT INTO items VALUES ($1, 't', $2)`, i, label)
	}
	b.start()
	b.ready()
	for i, label := range want {
		if got := b.sink.snapshot()[fmt.Sprint(i)].Labels["label"]; got != label {
			t.Errorf("got %q, want %q", got, label)
		}
	}
}

// TestLabelledWhenIsNoLabel: labelled_when is not counted as a label, and its errors are reported under its own key.
func TestLabelledWhenIsNoLabel(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, func(dsn string) *Config {
		cfg := itemsConfig(dsn)
		cfg.LabelledWhen = "views > 0"
		return cfg
	})
	b.exec(`INSERT INTO items (id, category, views) VALUES (1, 'Kita', 1), (2, 'kita', 1), (3, 'KITA', 0)`)
	if diff := cmp.Diff(LabelCounts{"label": {"Kita": 1, "kita": 1}}, CountLabels(t.Context(), "m", b.cfg)); diff != "" {
		t.Error(diff)
	}
	b.cfg.LabelledWhen = "viewed > 0"
	said := render(Check(t.Context(), "m", b.cfg))
	if !strings.Contains(said, `labelled_when: "viewed > 0": column "viewed" does not exist`) {
		t.Errorf("check says\n%s", said)
	}
}

// TestOutboxAgeWithAFraction: the installed bounds are those of the configuration, whose age is cut to whole seconds.
func TestOutboxAgeWithAFraction(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, func(dsn string) *Config {
		cfg := itemsConfig(dsn)
		cfg.Outbox.Age = unit.Duration(2*time.Hour + time.Second/2)
		return cfg
	})
	if said := render(Check(t.Context(), "m", b.cfg)); strings.Contains(said, "bounds") {
		t.Errorf("check says\n%s", said)
	}
}

// roomless is a Sink that cannot store a full read.
type roomless struct{ *memory }

func (roomless) Replace(context.Context, string, watch.FullRead) error { return errors.New("no room") }

// TestErrorOfTheSink: an error of the sink is not reported as one of PostgreSQL.
func TestErrorOfTheSink(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	source, err := New("m", b.cfg, roomless{b.sink}, nil, discard)
	if err != nil {
		t.Fatal(err)
	}
	b.run(source)
	b.sink.until(t, "the error", func() bool { return source.Health().Error == "store the table: no room" })
}
