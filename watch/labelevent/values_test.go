package labelevent

import (
	"strings"
	"testing"
)

// TestCompositeIDs: the id of an item in a table with a composite key has the form that the table's source gives it
// (see the composite keys in watch/postgres/relations_test.go). Without such a table the form is compact JSON.
func TestCompositeIDs(t *testing.T) {
	t.Parallel()
	table, none := decoder(Mapping{}).ForKey(2), decoder(Mapping{}).ForKey(1)
	for raw, want := range map[string][2]string{
		`["a\"b", 1]`:  {`["a\"b", 1]`, "must be texts"},
		`["c<ü", "3"]`: {`["c<ü", "3"]`, `["c\u003cü","3"]`},
		`["\\", "é"]`:  {`["\\", "é"]`, `["\\","é"]`},
		`["a"]`:        {"the id has 1 part, the table's key has 2 columns", `["a"]`},
		`["a", null]`:  {"must be texts or numbers, not null", "must be texts"},
		`["a\n", "b"]`: {"has a control or replacement character", "has a control or replacement character"},
	} {
		for i, d := range []*Decoder{table, none} {
			e, err := d.Decode([]byte(`{"id": `+raw+`, "label": "x"}`), now)
			if got := e.Item; err == nil && got != want[i] || err != nil && !strings.Contains(err.Error(), want[i]) {
				t.Errorf("%s: got %s, %v, want %s", raw, got, err, want[i])
			}
		}
	}
}

// TestLongCloudEventID: the id of an event is stored, so its length is bounded wherever it comes from.
func TestLongCloudEventID(t *testing.T) {
	t.Parallel()
	raw := `{"specversion": "1.0", "id": "` + strings.Repeat("x", MaxID) + `", "source": "/s", "data": {"id": 1, "label": "a"}}`
	if e, err := decoder(Mapping{}).Decode([]byte(raw), now); err == nil || !strings.Contains(err.Error(), "at most 512") {
		t.Errorf("a key of %d bytes: %v", len(e.Key), err)
	}
}
