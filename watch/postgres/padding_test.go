package postgres

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/watch"
)

// TestPaddingIsNoPartOfALabel: the blanks with which the server pads char(n) are not part of labels, keys or texts.
func TestPaddingIsNoPartOfALabel(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, capture := range captures {
		t.Run(string(capture), func(t *testing.T) {
			t.Parallel()
			b := l.setup(t, capture, `CREATE DOMAIN short AS char(8);
				CREATE TABLE items (id char(5) PRIMARY KEY, title char(9), kind char(10), tags char(6)[], area short, updated_at timestamptz DEFAULT now());`+
				touched,
				func(dsn string) *Config {
					return &Config{
						DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"title"}, UpdatedAt: "updated_at",
						Targets: map[string]string{"kind": "kind", "tags": "tags", "area": "area", "said": "coalesce(kind, 'none')"},
					}
				})
			b.exec(`INSERT INTO items VALUES ('a', 't', 'sport', '{x,yy}', 'west')`)
			b.start()
			b.ready()
			b.exec(`UPDATE items SET kind = 'politik', tags = '{z}', area = 'ost'`)
			b.exec(`INSERT INTO items VALUES ('b', 'u', 'kultur', '{}', NULL)`)
			b.sink.equalsTable(t, "m", b.cfg)
			want := map[string]watch.Item{
				"a": {
					ID: "a", Text: map[string]string{"title": "t"},
					Labels: watch.Labels{"kind": "politik", "tags": `["z"]`, "area": "ost", "said": "politik"},
				},
				"b": {
					ID: "b", Text: map[string]string{"title": "u"},
					Labels: watch.Labels{"kind": "kultur", "tags": "[]", "said": "kultur"},
				},
			}
			if diff := cmp.Diff(want, b.sink.snapshot()); diff != "" {
				t.Error(diff)
			}
			counts := CountLabels(t.Context(), "m", b.cfg)
			if diff := cmp.Diff(LabelCounts{
				"targets.kind": {"politik": 1, "kultur": 1}, "targets.tags": {"z": 1}, "targets.area": {"ost": 1},
				"targets.said": {"politik": 1, "kultur": 1},
			}, counts); diff != "" {
				t.Error(diff)
			}
			for _, c := range b.sink.log() {
				if label := c.Old["kind"]; label != strings.TrimSpace(label) {
					t.Errorf("a change starts at %q", label)
				}
			}
		})
	}
}
