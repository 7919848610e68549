package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// post is a Handler with an inbox that records its events.
type post struct {
	t      *testing.T
	src    *Handler
	inbox  *watchtest.Inbox
	secret string
	log    *strings.Builder
}

func newPost(t *testing.T, cfg Config, targets ...serving.Target) *post {
	t.Helper()
	p := &post{t: t, inbox: watchtest.NewInbox(), secret: "a secret of some length", log: &strings.Builder{}}
	cfg.SecretFile = filepath.Join(t.TempDir(), "secret")
	text := p.secret
	if cfg.signed() {
		text = "whsec_" + base64.StdEncoding.EncodeToString([]byte(p.secret))
	}
	if err := os.WriteFile(cfg.SecretFile, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if targets == nil {
		targets = watchtest.OneTarget()
	}
	p.src = New("m", &cfg, labelevent.NewDecoder(cfg.Mapping, targets, nil), p.inbox, nil,
		slog.New(slog.NewTextHandler(p.log, nil)))
	return p
}

// send posts a body and returns the answer. Headers are names and values; without headers the secret is sent.
func (p *post) send(body string, headers ...string) (int, string) {
	p.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/labels/m", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+p.secret)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.src.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// sign returns the headers of a standard webhook.
func (p *post) sign(id string, at time.Time, body string) []string {
	stamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(p.secret))
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	return []string{
		"webhook-id", id, "webhook-timestamp", stamp, "webhook-signature",
		"v1a,xyz v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	}
}

func (p *post) answers(code int, want, body string, headers ...string) {
	p.t.Helper()
	got, text := p.send(body, headers...)
	if got != code || !strings.Contains(text, want) {
		p.t.Errorf("%.80s: %d %s, want %d %s", body, got, text, code, want)
	}
	if strings.Contains(p.log.String(), p.secret) || strings.Contains(text, p.secret) {
		p.t.Errorf("the secret is in the log or in the answer")
	}
}

func TestHTTPEventsAreStoredBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	p := newPost(t, Config{})
	p.answers(202, `{"accepted":1,"duplicate":0,"waiting":0}`, watchtest.Line(1, "a"))
	p.answers(202, `"accepted":2`, watchtest.Line(2, "a")+watchtest.Line(3, "b"))
	p.answers(202, `"accepted":1`, `{"specversion": "1.0", "id": "e", "source": "/s", "data": {"id": 4, "label": "c"}}`)
	p.answers(202, `"accepted":0,"duplicate":1`,
		`{"specversion": "1.0", "id": "e", "source": "/s", "data": {"id": 4, "label": "c"}}`)
	p.answers(202, `"accepted":1`, watchtest.Line(5, "a"), "Idempotency-Key", "k")
	p.answers(202, `"duplicate":1`, watchtest.Line(5, "a"), "Idempotency-Key", "k")
	p.answers(202, `"accepted":1,"duplicate":0,"waiting":0,"rejected":[{"index":1,"reason":"no item id`,
		watchtest.Line(6, "a")+`{"label": "a"}`)
	if diff := cmp.Diff([]string{"1=a", "2=a", "3=b", "4=c", "5=a", "6=a"}, p.inbox.Labels()); diff != "" {
		t.Error(diff)
	}
	p.inbox.SetFail(errors.New("disk full"))
	p.answers(503, "send them again", watchtest.Line(7, "a"))
}

// The case of an authentication scheme is ignored.
func TestHTTPSchemes(t *testing.T) {
	t.Parallel()
	p := newPost(t, Config{})
	for _, shown := range []string{"bearer " + p.secret, "BEARER  " + p.secret, "token " + p.secret, p.secret} {
		p.answers(202, "", watchtest.Line(1, "a"), "Authorization", shown)
	}
}

func TestHTTPRefusesWithAReason(t *testing.T) {
	t.Parallel()
	p := newPost(t, Config{})
	p.answers(401, "missing or wrong (header Authorization)", watchtest.Line(1, "a"), "Authorization", "")
	p.answers(401, "missing or wrong", watchtest.Line(1, "a"), "Authorization", "Bearer nearly "+"the secret")
	p.answers(422, "not a JSON object", "<html>")
	p.answers(422, "empty", "")
	p.answers(422, "no item id", `{"label": "a"}`)
	p.answers(422, "not valid UTF-8", "{\"id\": 1, \"label\": \"\xff\"}")
	p.answers(413, "at most", strings.Repeat(" ", maxBody+1))
	p.answers(400, "message's id", watchtest.Line(1, "a"), "Idempotency-Key", strings.Repeat("k", 600))
	if got := p.inbox.Labels(); len(got) > 0 {
		t.Errorf("taken: %v", got)
	}
	own := newPost(t, Config{Header: "X-Label-Secret"})
	own.answers(401, "header X-Label-Secret", watchtest.Line(1, "a"))
	own.answers(202, "accepted", watchtest.Line(1, "a"), "X-Label-Secret", own.secret)
	if err := os.Remove(own.src.cfg.SecretFile); err != nil {
		t.Fatal(err)
	}
	own.answers(503, "secret cannot be read", watchtest.Line(1, "a"))
}

func TestHTTPStandardWebhooks(t *testing.T) {
	t.Parallel()
	p := newPost(t, Config{
		Preset:  PresetStandardWebhooks,
		Mapping: labelevent.Mapping{ID: "data.item", Label: "data.label"},
	})
	body := `{"type": "label.changed", "data": {"item": "1", "label": "a"}}`
	now := time.Now()
	p.answers(202, `"accepted":1`, body, p.sign("m1", now, body)...)
	p.answers(202, `"duplicate":1`, body, p.sign("m1", now, body)...)
	p.answers(401, "are needed", body)
	p.answers(401, "does not match", body+" ", p.sign("m2", now, body)...)
	p.answers(401, "differs from this machine's clock", body, p.sign("m3", now.Add(-6*time.Minute), body)...)
	p.answers(401, "differs from this machine's clock", body, p.sign("m3", now.Add(6*time.Minute), body)...)
	if diff := cmp.Diff([]string{"1=a"}, p.inbox.Labels()); diff != "" {
		t.Error(diff)
	}
}

const labelStudioEvent = `{"action": "ANNOTATION_UPDATED", "project": {"id": 3, "title": "news", "token": "must never be kept"},
"task": {"id": 17, "data": {"title": "Ein Titel", "content": "Ein Text", "score": 0.7}},
"annotation": {"id": 5, "completed_by": 1, "was_cancelled": false, "updated_at": "2026-05-01T10:00:00.123456Z",
 "result": [{"from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": ["Sport"]}},
  {"from_name": "span", "to_name": "text", "type": "labels", "value": {"start": 0, "end": 3, "labels": ["ORG"]}}]}}`

func TestHTTPLabelStudio(t *testing.T) {
	t.Parallel()
	p := newPost(t, Config{Preset: PresetLabelStudio}, serving.Target{Name: "topic"},
		serving.Target{Name: "tags", Kind: serving.KindSet})
	p.answers(202, `"accepted":1`, labelStudioEvent)
	p.answers(202, `"duplicate":1`, labelStudioEvent)
	want := watch.Event{
		Item: "17", Text: map[string]string{"title": "Ein Titel", "content": "Ein Text"},
		Labels: watch.Labels{"topic": "Sport"},
		Author: "1", At: time.Date(2026, 5, 1, 10, 0, 0, 123456000, time.UTC), Ordered: true,
		Subject: "annotation 5", Alias: "task 17",
	}
	got := p.inbox.Events()[0]
	if !strings.HasPrefix(got.Key, "sha256:") {
		t.Errorf("key %q", got.Key)
	}
	got.Key = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	p.answers(202, `"ignored":1`, `{"action": "PROJECT_UPDATED", "project": {"token": "x"}}`)
	p.answers(202, `"ignored":1`, strings.Replace(labelStudioEvent, `"was_cancelled": false`, `"was_cancelled": true`, 1))
	p.answers(202, "annotation 5: it was skipped, and its earlier labels are removed",
		strings.Replace(labelStudioEvent, `"was_cancelled": false`, `"was_cancelled": true,"x":1`, 1))
	p.answers(202, `"accepted":1`, `{"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 5}]}`)
	p.answers(202, `\"START_TRAINING\" does not concern labels`, `{"action": "START_TRAINING", "project": {}}`)
	p.answers(202, `"accepted":1,"duplicate":0,"waiting":0,"ignored":1,"ignored_because":["task 9: it has no text"]`,
		`{"action": "TASKS_CREATED", "tasks": [{"id": 8, "data": {"title": "x"}}, {"id": 9, "data": {"n": 1}}]}`)
	p.answers(422, "send payload", `{"action": "ANNOTATIONS_DELETED"}`)
	p.answers(202, `"accepted":2`, `{"action": "TASKS_DELETED", "tasks": [{"id": 17}, {"id": 18}]}`)
	p.answers(202, `"accepted":1`,
		strings.Replace(labelStudioEvent, `["Sport"]}}`,
			`["Sport"]}}, {"from_name": "tags", "type": "choices", "value": {"choices": ["b", "a"]}}`, 1))
	all := p.inbox.Events()
	if last := all[len(all)-1]; last.Labels["tags"] != `["a","b"]` {
		t.Errorf("labels %v", last.Labels)
	}
	p.answers(422, "send payload", `{"action": "ANNOTATION_CREATED"}`)
	p.answers(422, "no region", strings.Replace(labelStudioEvent, `"from_name": "topic"`, `"from_name": "other"`, 1))
	p.answers(422, "is this a webhook of Label Studio?", `{}`)
}

const argillaEvent = `{"type": "response.created", "version": 1, "timestamp": "2026-05-01T10:00:01Z", "data": {
"id": "r1", "values": {"topic": {"value": "Sport"}, "comment": {"value": "x"}}, "status": "submitted", "updated_at": "2026-05-01T10:00:00.5",
"record": {"id": "u-1", "external_id": "4711", "fields": {"title": "Ein Titel", "content": "Ein Text"}, "metadata": {}},
"user": {"id": "u", "username": "ann"}}}`

func TestHTTPArgilla(t *testing.T) {
	t.Parallel()
	p := newPost(t, Config{Preset: PresetArgilla}, serving.Target{Name: "topic"}, serving.Target{Name: "tone"})
	send := func(code int, want, id, body string) {
		t.Helper()
		p.answers(code, want, body, p.sign(id, time.Now(), body)...)
	}
	send(202, `"accepted":1`, "a", argillaEvent)
	send(202, `"duplicate":1`, "a", argillaEvent)
	want := watch.Event{
		Key: "wh:a", Item: "4711", Text: map[string]string{"title": "Ein Titel", "content": "Ein Text"},
		Labels: watch.Labels{"topic": "Sport"},
		Author: "ann", At: time.Date(2026, 5, 1, 10, 0, 0, 500000000, time.UTC), Ordered: true,
		Subject: "response r1", Alias: "record u-1",
	}
	if diff := cmp.Diff(want, p.inbox.Events()[0]); diff != "" {
		t.Error(diff)
	}
	send(202, `"ignored":1`, "b", strings.Replace(argillaEvent, "submitted", "draft", 1))
	send(202, `"ignored":1`, "c", strings.Replace(argillaEvent, "response.created", "dataset.updated", 1))
	send(202, `"accepted":1`, "d", strings.Replace(argillaEvent, "response.created", "response.deleted", 1))
	send(202, `"accepted":1`, "g", `{"type": "response.deleted", "timestamp": "2026-05-01T10:00:02Z", "data": {"id": "r1"}}`)
	all := p.inbox.Events()
	for _, e := range []watch.Event{all[1], all[len(all)-2], all[len(all)-1]} { // a draft, and two that were deleted
		if !e.Withdrawn || e.Subject != "response r1" || len(e.Labels) > 0 {
			t.Errorf("a withdrawn response: %+v", e)
		}
	}
	send(202, `"accepted":1`, "h", `{"type": "record.deleted", "timestamp": "2026-05-01T10:00:02Z", "data": {"id": "u-1"}}`)
	send(202, `"accepted":1`, "i", `{"type": "record.updated", "timestamp": "2026-05-01T10:00:02Z", "data": {"id": "u-1",
		"external_id": "4711", "fields": {"title": "Ein neuer Titel"}, "updated_at": "2026-05-01T10:00:02"}}`)
	all = p.inbox.Events()
	if e := all[len(all)-2]; !e.Delete || e.Alias != "record u-1" {
		t.Errorf("a deleted record: %+v", e)
	}
	if e := all[len(all)-1]; e.Item != "4711" || e.Text["title"] != "Ein neuer Titel" || !e.Ordered {
		t.Errorf("a record that was changed: %+v", e)
	}
	send(422, "no question has the name of a target (tone, topic)", "e",
		strings.Replace(argillaEvent, `"topic"`, `"subject"`, 1))
	send(422, "is this a webhook of Argilla?", "f", `{"foo": 1}`)
}
