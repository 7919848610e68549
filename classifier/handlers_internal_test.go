package classifier

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// If the embedding service hangs, the answer is 503 with the reason, before the server closes the connection.
func TestHangingEmbeddings(t *testing.T) {
	t.Parallel()
	if answerTime >= writeTimeout {
		t.Errorf("an answer may take %v, but its connection is closed after %v", answerTime, writeTimeout)
	}
	hang := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer service.Close()
	defer close(hang)
	s := NewServer(ServerOptions{})
	s.answerTime = 50 * time.Millisecond
	s.current.Store(&loaded{model: &Model{Heads: []*Head{{}}, embeddings: &Embeddings{URL: service.URL}}})
	for path, body := range map[string]string{"/classify": `{"a":"b"}`, "/classify/batch": `{"items":[{"a":"b"}]}`} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)))
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "no embeddings from "+service.URL) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
