package ingest

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/serving"
)

// An invalid label stays invalid when an event labels another target. It ends when an event labels its target or
// removes the label.
func TestInvalidLabelStays(t *testing.T) {
	t.Parallel()
	mark := serving.InvalidLabel("urgent")
	old := map[string]string{"label": "a", mark: ""}
	for name, c := range map[string]struct {
		said, want map[string]string
		unset      []string
	}{
		"another target": {map[string]string{"label": "b"}, map[string]string{"label": "b", mark: ""}, nil},
		"the target":     {map[string]string{"urgent": "yes"}, map[string]string{"label": "a", "urgent": "true"}, nil},
		"removed":        {nil, map[string]string{"label": "a"}, []string{"urgent"}},
	} {
		targets := []serving.Target{
			{Name: "label", Kind: serving.KindLabel}, {Name: "urgent", Kind: serving.KindBool, Null: "false"},
		}
		got, err := serving.CanonicalLabels(targets, mergeLabels(old, c.said, c.unset))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// A table in which many labels are invalid, such as empty texts instead of null, does not flood the log.
func TestManyInvalidLabels(t *testing.T) {
	t.Parallel()
	const rows = 3 * batchItems
	b := newBench(t)
	var out bytes.Buffer
	b.w.log = slog.New(slog.NewTextHandler(&out, nil))
	labels := map[string]string{}
	for n := range rows {
		labels[fmt.Sprint(n)] = ""
	}
	b.table(labels)
	if n := strings.Count(out.String(), "an invalid label was ignored"); n == 0 || n > 20 {
		t.Errorf("%d lines for %d labels", n, rows)
	}
	if want := fmt.Sprintf("items=%d", rows); !strings.Contains(out.String(), want) {
		t.Errorf("no line has %s:\n%s", want, out.String())
	}
}
