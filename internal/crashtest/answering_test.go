//go:build !race

package crashtest

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/retraind/retraind/actions"
)

// answering is a classifier within the test, which costs no process: it answers what the training of the release that
// `current` names has written down.
type answering struct {
	address string
	server  *http.Server

	mu      sync.Mutex // guards what follows
	state   string
	target  string // what `current` named when it was read
	release string // its digest
	answers map[string]json.RawMessage
}

func newAnswering(t *testing.T) *answering {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	s := &answering{address: l.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", s.health)
	mux.HandleFunc("/classify", s.classify)
	s.server = &http.Server{Handler: mux} //nolint:gosec // for this test's own clients
	go func() { _ = s.server.Serve(l) }()
	t.Cleanup(func() { _ = s.server.Close() })
	return s
}

// serve names the state directory, which is known only after the configuration has the address.
func (s *answering) serve(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// load reads the release that serves, unless it is that of the last request. Its caller holds mu.
func (s *answering) load() error {
	dir := filepath.Join(s.state, "models", model)
	target, err := os.Readlink(actions.CurrentLink(dir))
	if err != nil || target == s.target {
		return err
	}
	r, err := actions.ReadRelease(filepath.Join(dir, target))
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(dir, target, "predictions.jsonl"))
	if err != nil {
		return err
	}
	defer f.Close()
	answers := map[string]json.RawMessage{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var p actions.Prediction
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return err
		}
		answers[p.ID] = p.Answers["label"]
	}
	s.target, s.release, s.answers = target, r.Digest, answers
	return lines.Err()
}

// digest is that of the release that serves, "" for none.
func (s *answering) digest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.load() != nil {
		return ""
	}
	return s.release
}

func (s *answering) health(w http.ResponseWriter, _ *http.Request) {
	digest := s.digest()
	if digest == "" {
		http.Error(w, "no release", http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"release": digest})
}

// classify answers about `{"title": "text 17"}`.
func (s *answering) classify(w http.ResponseWriter, r *http.Request) {
	var asked map[string]string
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	label, ok := s.answers[strings.TrimPrefix(asked["title"], "text ")]
	if !ok {
		label = json.RawMessage(`"a"`) // an item that no training was judged by
	}
	_ = json.NewEncoder(w).Encode(map[string]json.RawMessage{"label": label})
}
