package compose

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Errors about the service do not contain the password of its URLs.
func TestErrorsHidePasswords(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	url := strings.Replace(server.URL, "://", "://bob:geheim@", 1)
	_, port := (&deployment{site: &site{}}).inside(url)
	for _, err := range []error{get(t.Context(), url), port} {
		if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "bob:xxxxx@") {
			t.Error(err)
		}
	}
}
