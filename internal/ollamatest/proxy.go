package ollamatest

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// Proxy stands in front of a server, for what that cannot show here: change answers each request, by itself or by what
// forward writes, into w or into a writer of its own.
func Proxy(t testing.TB, server string, change func(w http.ResponseWriter, r *http.Request, forward http.Handler)) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(u)
	forward.FlushInterval = -1
	forward.ErrorLog = log.New(io.Discard, "", 0) // of clients that are killed
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { change(w, r, forward) }))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
