package notify_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/notify"
)

var instant = time.Date(2026, 3, 1, 12, 30, 0, 5e6, time.UTC)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	data := notify.Deployed{
		Model: "relevance", Release: "sha256:bb", Previous: "sha256:aa",
		Artifact: notify.Artifact{URI: "file:///releases/bb", SHA256: "bb", Size: 12},
		Before:   &notify.Metrics{Accuracy: 0.8, Low: 0.7, High: 0.9, N: 300}, After: &notify.Metrics{Accuracy: 0.9, N: 300},
		LabelWatermark: 99, Reason: "accuracy_below", Run: "r_1",
	}
	e, err := notify.New(notify.ModelDeployed, "relevance", "r_1", data, instant.In(time.FixedZone("", 3600)))
	if err != nil {
		t.Fatal(err)
	}
	if e.Key != "relevance.current" {
		t.Errorf("key %q", e.Key)
	}
	body, err := notify.Encode(e, "host-1")
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(body, &plain); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"specversion": "1.0", "id": e.ID, "source": "/retraind/host-1", "type": "io.github.retraind.model.deployed.v1",
		"subject": "relevance", "time": "2026-03-01T12:30:00.005Z", "datacontenttype": "application/json", "runid": "r_1",
	} {
		if plain[field] != want {
			t.Errorf("%s is %v, want %v", field, plain[field], want)
		}
	}
	back, err := notify.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, back); diff != "" {
		t.Error(diff)
	}
	got, err := notify.Unpack[notify.Deployed](back)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(data, got); diff != "" {
		t.Error(diff)
	}
	if _, err := notify.Unpack[notify.Rejected](back); err == nil {
		t.Error("unpacked as another type")
	}
	if want := "retraind.evt.v1.relevance.model.deployed"; notify.Subject(e.Model, e.Kind) != want {
		t.Errorf("subject %s", notify.Subject(e.Model, e.Kind))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  notify.Kind
		model string
		data  any
		want  string
	}{
		"kind": {"model.invented", "m", notify.Deployed{}, `event "model.invented": no such kind`},
		"type": {
			notify.ModelDeployed, "m",
			notify.Rejected{},
			"event model.deployed: want data of type notify.Deployed, got notify.Rejected",
		},
		"dots": {
			notify.ModelDeployed, "a..b",
			notify.Deployed{},
			`event model.deployed: model "a..b": a name has 1 to 32 characters of a-z, 0-9, _ and -`,
		},
		"no model": {notify.ModelDeployed, "", notify.Deployed{}, "event model.deployed: no model"},
		"wildcard": {
			notify.ModelDeployed, ">",
			notify.Deployed{},
			`event model.deployed: model ">": a name has 1 to 32 characters of a-z, 0-9, _ and -`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := notify.New(c.kind, c.model, "", c.data, instant); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	seen := map[notify.Kind]bool{}
	for _, entry := range notify.Catalogue() {
		if seen[entry.Kind] {
			t.Errorf("%s is listed twice", entry.Kind)
		}
		seen[entry.Kind] = true
		if !regexp.MustCompile(`^[a-z]+\.[a-z_]+$`).MatchString(string(entry.Kind)) {
			t.Errorf("%s is not <noun>.<verb>", entry.Kind)
		}
		if !strings.HasSuffix(entry.When, ".") {
			t.Errorf("%s: %q is not a sentence", entry.Kind, entry.When)
		}
		if _, err := notify.New(entry.Kind, notify.DaemonModel, "", entry.Data, instant); err != nil {
			t.Error(err)
		}
		// Every field name is an identifier in any programming language.
		for i := range reflect.TypeOf(entry.Data).NumField() {
			f := reflect.TypeOf(entry.Data).Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(name) {
				t.Errorf("%s.%s has the JSON name %q", entry.Kind, f.Name, name)
			}
		}
	}
}

func TestEncodeRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	e, err := notify.New(notify.ConfigRejected, notify.DaemonModel, "",
		notify.Refused{Problems: []string{strings.Repeat("x", notify.MaxBody)}}, instant)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := notify.Encode(e, "h"); err == nil || !strings.Contains(err.Error(), "at most 524288 can be sent") {
		t.Errorf("got %v", err)
	}
}

const good = `{"specversion":"1.0","id":"01JNZ3NDEKTSV4RRFFQ69G5FAV","source":"/retraind/h","type":"io.github.retraind.run.started.v1","subject":"m","time":"2026-03-01T12:30:00Z","datacontenttype":"application/json","data":{"run":"r"},"later":"field"}`

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	if _, err := notify.Decode([]byte(good)); err != nil {
		t.Fatalf("the document that the cases modify is invalid: %v", err)
	}
	for old, with := range map[string]string{
		`"1.0"`:                      `"2.0"`,
		"01JNZ3NDEKTSV4RRFFQ69G5FAV": "not-a-ulid",
		"io.github.retraind.":        "com.example.",
		"run.started":                "run.invented",
		`"subject":"m"`:              `"subject":"a.b"`,
		`"data":{"run":"r"}`:         `"data":null`,
		`"application/json"`:         `"text/xml"`,
		`2026-03-01T`:                `2026-13-01T`,
		`"later":"field"}`:           `"later":`,
	} {
		body := strings.Replace(good, old, with, 1)
		if body == good {
			t.Errorf("%s is not in the document", old)
		}
		if e, err := notify.Decode([]byte(body)); err == nil {
			t.Errorf("%s became %s and was read as %+v", old, with, e)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"specversion":"1.0","id":"01JNZ3NDEKTSV4RRFFQ69G5FAV","type":"io.github.retraind.model.deployed.v1","subject":"_daemon","data":{"x":1e999}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := notify.Decode(body)
		if err != nil {
			return
		}
		again, err := notify.Encode(e, "h")
		if err != nil {
			t.Skip(err) // escaping made it exceed the limit
		}
		back, err := notify.Decode(again)
		if err != nil {
			t.Fatalf("the decoded event cannot be encoded and decoded again: %v\n%s", err, again)
		}
		if back.ID != e.ID || back.Kind != e.Kind || back.Model != e.Model || back.Run != e.Run || !back.At.Equal(e.At) ||
			back.Key != e.Key {
			t.Fatalf("%+v became %+v", e, back)
		}
	})
}
