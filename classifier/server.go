package classifier

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// ReleaseFile is the file in a release directory that contains the release's digest.
const ReleaseFile = "release.json"

// loaded is a model that the server has loaded.
type loaded struct {
	model  *Model
	digest string
	dir    string // resolved target of the served path
	at     time.Time
}

// ServerOptions are the options of NewServer.
type ServerOptions struct {
	// Dir is the served release directory: a symlink such as current that is switched from release to release, or a plain
	// directory.
	Dir    string
	Logger *slog.Logger
	// Embeddings is the URL of the embedding service, if it differs from the one in training.
	Embeddings string
}

// Server answers /health, /classify and /classify/batch from one release directory. Safe for concurrent use.
type Server struct {
	dir     string
	embed   string // URL, or ""
	log     *slog.Logger
	current atomic.Pointer[loaded]
	reload  sync.Mutex // one Reload at a time
	handler http.Handler

	answerTime time.Duration // answerTime, except in tests
}

// NewServer returns a server without a model; call Reload to load one. Until Reload succeeds, the server answers
// requests with 503.
func NewServer(opts ServerOptions) *Server {
	s := &Server{dir: opts.Dir, embed: opts.Embeddings, log: opts.Logger, answerTime: answerTime}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.handler = s.routes()
	return s
}

// ServeHTTP answers one request with the model that is current when the request begins.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Release returns the digest of the served release, or "".
func (s *Server) Release() string {
	if c := s.current.Load(); c != nil {
		return c.digest
	}
	return ""
}

// Reload loads the release that the directory points to now, and uses it from the next request on. If an error occurs,
// the server keeps the present model.
func (s *Server) Reload() error {
	s.reload.Lock()
	defer s.reload.Unlock()
	dir, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		return fmt.Errorf("reload: %w; is a release deployed?", err)
	}
	// Everything is read below the resolved directory, so that a concurrent switch cannot mix two releases.
	digest, err := readDigest(dir)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	model, err := Load(dir)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	if s.embed != "" && model.embeddings != nil {
		model.embeddings.URL = s.embed
	}
	s.current.Store(&loaded{model: model, digest: digest, dir: dir, at: time.Now()})
	s.log.Info("model loaded", "release", digest, "targets", len(model.Heads), "categories", len(model.Categories()))
	return nil
}

// readDigest reads the digest of the release in a directory.
func readDigest(dir string) (string, error) {
	path := filepath.Join(dir, ReleaseFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read release: %w", err)
	}
	var release struct {
		Digest string `json:"digest"`
	}
	if err := json.Unmarshal(b, &release); err != nil {
		return "", fmt.Errorf("read release %s: %w", path, err)
	}
	if release.Digest == "" {
		return "", fmt.Errorf("read release %s: it has no digest", path)
	}
	return release.Digest, nil
}
