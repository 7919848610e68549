package labelevent

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func decoder(m Mapping, targets ...string) *Decoder {
	if targets == nil {
		targets = []string{"label"}
	}
	list := make([]serving.Target, len(targets))
	for i, name := range targets {
		list[i] = serving.Target{Name: name}
	}
	return NewDecoder(m, list, nil)
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		decoder *Decoder
		raw     string
		want    watch.Event
	}{
		"a label": {
			decoder(Mapping{}), `{"id": 7, "label": "sport", "author": "anna"}`,
			watch.Event{Item: "7", Labels: watch.Labels{"label": "sport"}, Author: "anna", At: now},
		},
		"no label": {
			decoder(Mapping{}), `{"id": "a", "label": null}`,
			watch.Event{Item: "a", Unset: []string{"label"}, At: now},
		},
		"a text": {
			decoder(Mapping{}), `{"id": "a", "text": {"title": "t"}}`,
			watch.Event{Item: "a", Text: map[string]string{"title": "t"}, At: now},
		},
		"a deleted": {decoder(Mapping{}), `{"id": "a", "deleted": true}`, watch.Event{Item: "a", Delete: true, At: now}},
		"by paths": {
			decoder(Mapping{ID: "data.task.id", Label: "result.0"}),
			`{"data": {"task": {"id": "x"}}, "result": ["kultur"]}`,
			watch.Event{Item: "x", Labels: watch.Labels{"label": "kultur"}, At: now},
		},
		"a CloudEvent": {
			decoder(Mapping{}),
			`{"specversion": "1.0", "id": "1", "source": "/a", "time": "2026-05-01T10:00:00Z", "data": {"id": "a", "label": "b"}}`,
			watch.Event{Key: "ce:/a 1", Item: "a", Labels: watch.Labels{"label": "b"}, At: now.Add(-2 * time.Hour)},
		},
		"several targets": {
			decoder(Mapping{}, "topic", "mood"),
			`{"id": "a", "labels": {"topic": "x", "mood": null}}`,
			watch.Event{Item: "a", Labels: watch.Labels{"topic": "x"}, Unset: []string{"mood"}, At: now},
		},
		"a clock far ahead is ours": {
			decoder(Mapping{}), `{"id": "a", "label": "b", "at": "2027-01-01T00:00:00Z"}`,
			watch.Event{Item: "a", Labels: watch.Labels{"label": "b"}, At: now},
		},
		"an origin is not believed": {
			decoder(Mapping{}), `{"id": "a", "label": "b", "origin": "retraind:run"}`,
			watch.Event{Item: "a", Labels: watch.Labels{"label": "b"}, At: now},
		},
	} {
		got, err := c.decoder.Decode([]byte(c.raw), now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDecodeRefusesWithTheReason(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"label": "b"}`:                           "no item id",
		`{"id": "", "label": "b"}`:                 "the id is empty",
		`{"id": "a", "label": " "}`:                "the label is blank",
		`{"id": "a", "lable": "b"}`:                "did you mean label?",
		`{"id": "a", "other": 1}`:                  "it has neither a text nor a label",
		`{"id": "a", "labels": {"none": "b"}}`:     "the model has no target",
		`{"id": "a", "label": "b"} x`:              "there is more data after the JSON object",
		`{"id": "a", "label": "b"`:                 "it is not JSON",
		`["a"]`:                                    "it is not a JSON object",
		"{\"id\": \"\xff\", \"label\": \"b\"}":     "it is not valid UTF-8",
		`{"specversion": "0.3", "data": {}}`:       "want 1.0",
		`{"id": "a", "label": "b", "deleted": 1}`:  "want true or false",
		`{"id": "a", "label": "b", "at": "today"}`: "is not a time",
	} {
		if got, err := decoder(Mapping{}).Decode([]byte(raw), now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v, want %q", raw, got, err, want)
		}
	}
}

func TestDecodeBodyNamesEachEvent(t *testing.T) {
	t.Parallel()
	events, refused := decoder(Mapping{}).DecodeBody([]byte(`[{"id": "a", "label": "x"}, {"label": "x"}, {"id": "b", "label": "y"}]`),
		"m", now)
	if len(events) != 2 || events[0].Key != "m/0" || events[1].Key != "m/2" {
		t.Errorf("events %+v", events)
	}
	if len(refused) != 1 || refused[0].Index != 1 || !strings.HasPrefix(Reasons(refused), "event 2: no item id") {
		t.Errorf("refused %+v: %s", refused, Reasons(refused))
	}
	lines, refused := decoder(Mapping{}).DecodeBody([]byte("{\"id\": \"a\", \"label\": \"x\"}\n{\"id\": \"b\", \"label\": \"y\"}\n"),
		"", now)
	if len(lines) != 2 || lines[0].Key != "" || len(refused) > 0 {
		t.Errorf("lines %+v, refused %+v", lines, refused)
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	row, comma, cause := decoder(Mapping{}, "topic", "mood").CSV([]byte("id;topic;mood\n"))
	if cause != "" || comma != ';' {
		t.Fatal(cause)
	}
	if _, ok, err := row([]byte("id;topic;mood\n"), now); ok || err != nil {
		t.Errorf("the header was read as a record: %v", err)
	}
	got, ok, err := row([]byte("1;\"a;b\";\n"), now)
	if want := (watch.Event{Item: "1", Labels: watch.Labels{"topic": "a;b"}, At: now}); !ok || err != nil ||
		!cmp.Equal(want, got) {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, _, err := row([]byte("1;2\n"), now); err == nil || !strings.Contains(err.Error(), "2 fields, the header has 3") {
		t.Error(err)
	}
	for header, want := range map[string]string{
		"key,label\n": `no column "id"`,
		"id,note\n":   "neither a text column nor a label column",
	} {
		if _, _, cause := decoder(Mapping{}).CSV([]byte(header)); !strings.Contains(cause, want) {
			t.Errorf("%q: %q", header, cause)
		}
	}
}

// A cell with seconds since 1970 is a time, like the number in JSON.
func TestCSVTimes(t *testing.T) {
	t.Parallel()
	row, _, cause := decoder(Mapping{}).CSV([]byte("id,label,at\n"))
	if cause != "" {
		t.Fatal(cause)
	}
	for cell, want := range map[string]time.Time{
		"1764000000":           time.Date(2025, 11, 24, 16, 0, 0, 0, time.UTC),
		"1764000000.5":         time.Date(2025, 11, 24, 16, 0, 0, 5e8, time.UTC),
		"2026-04-01T10:00:00Z": time.Date(2026, 4, 1, 10, 0, 0, 0, time.UTC),
		"":                     now,
	} {
		if e, ok, err := row([]byte("1,a,"+cell+"\n"), now); !ok || err != nil || !e.At.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", cell, e.At, err, want)
		}
	}
	for cell, want := range map[string]string{
		"1764000000000": "not a number of seconds since 1970", "-5": "not a number of seconds since 1970",
		"NaN": "not a time", "inf": "not a time", "0x10": "not a time", "today": "not a time", "1 764": "not a time",
	} {
		if e, _, err := row([]byte("1,a,"+cell+"\n"), now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", cell, e.At, err, want)
		}
	}
}
