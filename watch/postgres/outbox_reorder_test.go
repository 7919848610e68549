package postgres

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/watch"
)

// TestTriggersThatWriteToTheirOwnTable: an application's trigger changes the row that fired it, or another one. The
// inner statement is recorded before the outer one.
func TestTriggersThatWriteToTheirOwnTable(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL+`;
		CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			UPDATE items SET category = lower(category) WHERE category <> lower(category);
			RETURN NULL;
		END $$;
		CREATE TRIGGER again AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION again()`, itemsConfig)
	b.exec(`INSERT INTO items (id, title, category) VALUES (1, 't', 'a'), (2, 't', 'b'), (3, 't', 'c')`)
	b.start()
	b.ready()
	b.exec(`UPDATE items SET category = 'FIRST' WHERE id = 1`)
	b.exec(`UPDATE items SET category = 'ALL' || id`)
	b.exec(`INSERT INTO items (id, title, category) VALUES (4, 't', 'NEW'), (5, 't', 'NEW')`)
	b.sink.equalsTable(t, "m", b.cfg)
	if b.sink.full != 1 {
		t.Errorf("the whole table was read %d times", b.sink.full)
	}
}

// TestUntangle shuffles the changes of a transaction, and expects that reorder restores the order for each item.
func TestUntangle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var changes []watch.Change
		var writers []string
		want := map[string]string{}
		for item := range rapid.IntRange(1, 4).Draw(t, "items") {
			n := rapid.IntRange(1, 6).Draw(t, "changes")
			for i := range n {
				change := watch.Change{
					Key: fmt.Sprint(item, ":", i), Op: watch.OpLabel, Item: fmt.Sprint(item),
					Old: watch.Labels{"l": fmt.Sprint(i)}, New: watch.Labels{"l": fmt.Sprint(i + 1)},
				}
				if i == 0 {
					change.Op, change.Old = watch.OpPut, nil
				}
				changes, writers = append(changes, change), append(writers, "7")
			}
			want[fmt.Sprint(item)] = fmt.Sprint(n)
		}
		shuffled := rapid.Permutation(changes).Draw(t, "order")
		reorder(shuffled, writers)
		got := map[string]string{}
		for _, c := range shuffled {
			if c.Old["l"] != got[c.Item] {
				t.Fatalf("item %s goes from %q, it has %q", c.Item, c.Old["l"], got[c.Item])
			}
			got[c.Item] = c.New["l"]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}
