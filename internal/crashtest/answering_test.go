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

// answering is a classifier in the test's own process. It answers with the predictions stored in the release to which
// `current` points.
type answering struct {
	address string
	server  *http.Server

	mu      sync.Mutex // guards the fields below
	state   string
	target  string // target of `current` when it was read
	release string // digest of the release at target
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

// serve sets the state directory. It is known only after the address, which the configuration needs.
func (s *answering) serve(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// load reads the serving release, unless it is still the one last read. The caller holds mu.
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

// digest returns the digest of the serving release, "" if there is none.
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

// classify answers requests such as `{"title": "text 17"}`.
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
		label = json.RawMessage(`"a"`) // an item without a prediction
	}
	_ = json.NewEncoder(w).Encode(map[string]json.RawMessage{"label": label})
}
