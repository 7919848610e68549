package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
)

// story waits until the sink has received exactly these changes, in this order.
func (b *bundle) story(want ...string) {
	b.t.Helper()
	waittest.EventuallyNil(b.t, func() error {
		var got []string
		for _, c := range b.sink.log() {
			got = append(got, fmt.Sprintf("%s %s %s", c.Op, c.Item, c.New["label"]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("changes (-want +got):\n%s", diff)
		}
		return nil
	})
}

// TestPartitionsTellEachChange: the outbox has the changes of each partition, even of a nested one. A row that moves
// to another partition is a delete and an insert. The rows of a partition that is attached later are read, and its
// changes are followed.
func TestPartitionsTellEachChange(t *testing.T) {
	t.Parallel()
	b := setup(t, `CREATE TABLE items (id int, title text, content text, category text, region text, updated_at timestamptz DEFAULT now(), updated_by text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
		CREATE TABLE items_n PARTITION OF items FOR VALUES IN ('n');
		CREATE TABLE items_s PARTITION OF items FOR VALUES IN ('s') PARTITION BY RANGE (id);
		CREATE TABLE items_s1 PARTITION OF items_s FOR VALUES FROM (0) TO (100)`, func(dsn string) *Config {
		cfg := itemsConfig(dsn)
		cfg.Poll = unit.Duration(100 * time.Millisecond) // how soon a new partition is detected
		return cfg
	})
	b.start()
	b.ready()
	b.exec(`INSERT INTO items (id, title, category, region) VALUES (1, 't', 'a', 'n'), (2, 't', 'a', 's')`)
	told := []string{"put 1 a", "put 2 a"}
	b.story(told...)
	b.exec(`UPDATE items SET category = 'b' WHERE id = 1`)
	b.exec(`UPDATE items_s1 SET category = 'b' WHERE id = 2`) // directly in the partition
	told = append(told, "label 1 b", "label 2 b")
	b.story(told...)
	b.exec(`UPDATE items SET region = 's', category = 'c' WHERE id = 1`)
	told = append(told, "delete 1 ", "put 1 c")
	b.story(told...)
	b.exec(`CREATE TABLE items_w (LIKE items INCLUDING ALL)`)
	b.exec(`INSERT INTO items_w (id, title, category, region) VALUES (3, 't', 'came along', 'w')`)
	b.exec(`ALTER TABLE items ATTACH PARTITION items_w FOR VALUES IN ('w')`)
	b.sink.until(t, "the row that came along", func() bool { return b.sink.items["3"].Labels["label"] == "came along" })
	b.exec(`UPDATE items SET category = 'd' WHERE id = 3`)
	b.exec(`DELETE FROM items WHERE id = 2`)
	b.story(append(told, "label 3 d", "delete 2 ")...)
	b.sink.equalsTable(t, "m", b.cfg)
}

// TestGeneratedColumns: a text and a label that the server computes follow the columns from which they are generated,
// under each capture.
func TestGeneratedColumns(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	table := `CREATE TABLE items (id int PRIMARY KEY, title text, content text, score int, whole text GENERATED ALWAYS AS (title || ': ' || content) STORED,
		grade text GENERATED ALWAYS AS (CASE WHEN score > 5 THEN 'good' ELSE 'bad' END) STORED, updated_at timestamptz DEFAULT now());` +
		touched
	bundles := l.setups(t, captures, table, func(dsn string) *Config {
		return &Config{
			DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"whole"}, Label: "grade",
			UpdatedAt: "updated_at",
		}
	})
	for _, b := range bundles {
		b.start()
		b.ready()
	}
	app := bundles[0]
	app.exec(`INSERT INTO items (id, title, content, score) VALUES (1, 'a', 'b', 1), (2, 'c', 'd', 9)`)
	app.exec(`UPDATE items SET score = 7 WHERE id = 1`)
	app.exec(`UPDATE items SET content = 'new' WHERE id = 2`)
	for _, b := range bundles {
		b.sink.until(t, string(b.cfg.Capture)+": what was computed", func() bool {
			one, two := b.sink.items["1"], b.sink.items["2"]
			return one.Labels["label"] == "good" && one.Text["whole"] == "a: b" && two.Labels["label"] == "good" &&
				two.Text["whole"] == "c: new"
		})
		b.sink.equalsTable(t, "m", b.cfg)
	}
}
