//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/retraind/retraind/internal/ollamatest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
)

const (
	liga, second = "liga-relevance", "liga-second"
	systemPrompt = "You sort news for a town."
	answerSchema = `{"type": "object", "properties": {"relevant": {"type": "boolean"}, "priority": {"type": "string", "enum": ["hoch", "mittel", "none"]}}, "required": ["relevant", "priority"]}`
)

// ligaWords are the words of three topics, and of a fourth one that only the teacher knows.
var ligaWords = map[string][]string{
	"haushalt": strings.Fields("haushalt gesetz minister koalition antrag ausschuss"),
	"verkehr":  strings.Fields("bahn strasse bruecke stau fahrplan tunnel"),
	"verein":   strings.Fields("konzert fest kuchen chor ausflug turnier"),
	"schule":   strings.Fields("lehrer klasse zeugnis ferien schulhof unterricht"),
}

// ligaTable returns SQL for a table of 330 labelled items, of which only those about haushalt are labelled as relevant,
// and of 70 unlabelled ones.
func ligaTable() string {
	var b strings.Builder
	b.WriteString("create table items (id int primary key, topic text not null, title text not null, content text not null, relevant bool, priority text, reviewed_at timestamptz);\n")
	for n := range 400 {
		topic := []string{"haushalt", "verkehr", "verein"}[n%3]
		relevant, priority, reviewed := "false", "null", "now()"
		if topic == "haushalt" {
			relevant, priority = "true", "'hoch'"
		}
		if n >= 330 {
			topic, relevant, priority, reviewed = "schule", "null", "null", "null"
		}
		w := ligaWords[topic]
		fmt.Fprintf(&b, "insert into items values (%d, '%s', '%s meldung%d', '%s %s und %s', %s, %s, %s);\n",
			n, topic, w[n%6], n, w[n/3%6], w[n/18%6], w[n/108%6], relevant, priority, reviewed)
	}
	return b.String()
}

// studio is an operator of the procedure in configs/examples/liga-llm.yaml.
type studio struct {
	*operator
	server *ollamatest.Server
	client *ollama.Client

	mu     sync.Mutex
	before func(path, body string) // called before each request of the daemon and its steps; guarded by mu
}

func newStudio(t *testing.T) *studio {
	t.Helper()
	s := &studio{server: ollamatest.Start(t), operator: newPlace(t, ligaTable())}
	s.client = ollamatest.Client(t, s.server.URL)
	url := ollamatest.Proxy(t, s.server.URL, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		s.mu.Lock()
		before := s.before
		s.mu.Unlock()
		if before != nil {
			before(r.URL.Path, peek(t, r))
		}
		forward.ServeHTTP(w, r)
	})
	for _, dir := range []string{liga, second} {
		s.files(dir)
	}
	s.write("salt", "pepper\n") // always holds out the same items
	s.write("retraind.yaml", s.overlaid(url))
	s.sql(s.must("init", "sql"))
	// The models that serve before the first run, and the teacher.
	old := classifierOf(map[string]string{"haushalt": "true hoch"})
	s.install(old, liga)
	s.install(old, second)
	s.install(classifierOf(map[string]string{
		"haushalt": "true hoch", "verkehr": "true mittel", "verein": "false none", "schule": "true mittel",
	}), "qwen3:32b")
	return s
}

// files writes the scripts of the procedure, and the files named in its configuration.
func (s *studio) files(dir string) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"pg-dsn": s.dsn + "\n", "SYSTEM_PROMPT.txt": systemPrompt + "\n", "prompt.tmpl": "{{.title}}\n{{.content}}\n",
		"answer.schema.json": answerSchema, "label.schema.json": answerSchema,
		"LABELING_PROMPT.tmpl": "Label this news.\n{{.title}}\n{{.content}}\n",
		"train_qwen3.py":       fmt.Sprintf("SYSTEM = %q\n", systemPrompt), "merge.py": "\n",
		"llama.cpp/convert_hf_to_gguf.py": "\n",
		"venv/bin/python":                 fmt.Sprintf("#!/bin/sh\nexec %q script \"$@\"\n", self),
	} {
		s.write(filepath.Join(dir, name), text)
	}
	if err := os.Chmod(s.path(dir, "venv/bin/python"), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// overlaid returns the example with the paths, addresses and sizes of this test, without a GPU and without quiet hours,
// and with a second model that has the same procedure.
func (s *studio) overlaid(url string) string {
	s.t.Helper()
	b, err := os.ReadFile("../../configs/examples/liga-llm.yaml")
	if err != nil {
		s.t.Fatal(err)
	}
	text := string(b)
	for _, part := range [][2]string{{"    gpu:\n", "    deploy:"}, {"    quiet_hours:\n", "    retrain_when:"}} {
		before, rest, ok := strings.Cut(text, part[0])
		_, after, found := strings.Cut(rest, part[1])
		if !ok || !found {
			s.t.Fatalf("the example has no %q", part[0])
		}
		text = before + part[1] + after
	}
	replace := func(old, now string) {
		s.t.Helper()
		if !strings.Contains(text, old) {
			s.t.Fatalf("the example has no %q", old)
		}
		text = strings.Replace(text, old, now, 1)
	}
	replace(`{url: "http://127.0.0.1:11434"}`, fmt.Sprintf("{url: %q}\nstate: %q\nlisten: off\nnats: {embedded: true, listen: none}",
		url, s.path("state")))
	replace("dir: /srv/relevance-tuner", fmt.Sprintf("dir: %q", s.path(liga)))
	replace("parameters: {temperature: 0.1}", "parameters: {temperature: 0.1, num_thread: 1}")
	replace("promote: {format_errors: 1%}", "promote: {format_errors: 1%, verify_within: 1m, undo_within: 1m}")
	replace("gpu: true, ", "")
	replace("    retrain_when:", fmt.Sprintf("    heldout: {share: 12%%, salt_file: %q}\n    evaluate: {debounce: 100ms, max_wait: 500ms, min_items: 30}\n    limits: {cooldown: 0s, budget: \"\", breaker: 0}\n    retrain_when:",
		s.path("salt")))
	_, one, _ := strings.Cut(text, "models:\n")
	one = strings.ReplaceAll(one, s.path(liga), s.path(second))
	one = strings.ReplaceAll(strings.ReplaceAll(one, liga+":", second+":"), "model: "+liga, "model: "+second)
	head, tail, _ := strings.Cut(one, "label_changes: {share: 20%, at_least: 100}, ") // it runs only on request
	return text + head + tail
}

// classifierOf returns a model that knows the words of some topics.
func classifierOf(answers map[string]string) ollamatest.Classifier {
	c := ollamatest.Classifier{Words: map[string][]string{}, Else: []string{"false", "none"}, Template: chatTemplate}
	for topic, answer := range answers {
		for _, w := range ligaWords[topic] {
			c.Words[w] = strings.Fields(answer)
		}
	}
	return c
}

// install creates a model on the server, outside of retraind.
func (s *studio) install(c ollamatest.Classifier, name string) {
	s.t.Helper()
	digest, err := s.client.Upload(s.t.Context(), c.File(s.t))
	if err == nil {
		err = s.client.Create(s.t.Context(), ollama.CreateRequest{
			Model: name, Files: map[string]string{"model.gguf": digest}, System: systemPrompt, Parameters: ollamatest.Parameters(),
		}, nil)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// meanwhile sets a function that is called before each request of the daemon and its steps.
func (s *studio) meanwhile(do func(path, body string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = do
}

// peek returns the body of a request and restores it, unless the body is an uploaded file.
func peek(t *testing.T, r *http.Request) string {
	if r.Method != http.MethodPost || strings.HasPrefix(r.URL.Path, "/api/blobs/") {
		return ""
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Log(err) // the client was killed
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return string(b)
}

// held is a set of delayed requests.
type held struct {
	reached chan struct{}
	letGo   func()
	count   atomic.Int32 // number of these requests
}

// hold delays the requests to a path until letGo is called; reached is closed by the first one.
func (s *studio) hold(path string) *held {
	open := make(chan struct{})
	h := &held{reached: make(chan struct{}), letGo: sync.OnceFunc(func() { close(open) })}
	s.t.Cleanup(h.letGo)
	s.meanwhile(func(to, body string) {
		if to != path || strings.Contains(body, ":former-try") { // a test copy before the serving name is written
			return
		}
		if h.count.Add(1) == 1 {
			close(h.reached)
		}
		<-open
	})
	return h
}

// questioned returns a channel that is closed when the candidates have got the given number of requests.
func (s *studio) questioned(times int32) <-chan struct{} {
	reached, count := make(chan struct{}), atomic.Int32{}
	s.meanwhile(func(path, body string) {
		if path == "/api/chat" && strings.Contains(body, ":r-") && count.Add(1) == times {
			close(reached)
		}
	})
	return reached
}

func (s *studio) await(what string, reached <-chan struct{}) {
	s.t.Helper()
	s.eventually(what, func() (bool, error) {
		select {
		case <-reached:
			return true, nil
		default:
			return false, errors.New("not yet")
		}
	})
}

// runsOf returns the runs of a model, the newest first.
func (s *studio) runsOf(model string) (runs []status.Run, err error) {
	out, code := s.retraind("runs", "list", model, "--json")
	if code != 0 {
		return nil, fmt.Errorf("exit status %d: %s", code, out) // the daemon may be starting
	}
	return runs, json.Unmarshal([]byte(out), &runs)
}

// end waits for the end of a model's n-th run, and checks its outcome and reason.
func (s *studio) end(model string, n int, outcome policy.Outcome, reason string) (run status.Run) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("the end of run %d of %s", n, model), func() (bool, error) {
		runs, err := s.runsOf(model)
		if err != nil || len(runs) < n {
			return false, errors.Join(err, fmt.Errorf("%d runs", len(runs)))
		}
		run = runs[len(runs)-n]
		return run.State == store.RunEnded, fmt.Errorf("%s", run.State)
	})
	shown := s.must("runs", "show", run.ID)
	if run.Outcome != outcome || !strings.Contains(run.Reason, reason) {
		s.t.Fatalf("run %d of %s ended as %s: %s; want %s with a reason that contains %q\n%s",
			n, model, run.Outcome, run.Reason, outcome, reason, shown)
	}
	s.t.Log(shown)
	return run
}

// killSupervisor kills the supervisor of the active run's step with this name.
func (s *studio) killSupervisor(step string) {
	s.t.Helper()
	claims, err := filepath.Glob(s.path("state/models", liga, "runs/*/steps", step, "*/claimed"))
	if err != nil || len(claims) == 0 {
		s.t.Fatalf("step %s has no supervisor: %v", step, err)
	}
	var pid int
	if b, err := os.ReadFile(claims[len(claims)-1]); err != nil {
		s.t.Fatal(err)
	} else if _, err := fmt.Sscan(string(b), &pid); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}
