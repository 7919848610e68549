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

// Proxy starts a reverse proxy for faults that the server itself cannot show, and returns its URL. change answers each
// request; to get the server's answer, it calls forward.
func Proxy(t testing.TB, server string, change func(w http.ResponseWriter, r *http.Request, forward http.Handler)) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(u)
	forward.FlushInterval = -1
	forward.ErrorLog = log.New(io.Discard, "", 0) // clients that are killed cause errors
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { change(w, r, forward) }))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
