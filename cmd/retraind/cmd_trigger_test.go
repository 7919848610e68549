package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// With --wait the command also waits for a run that starts only after the daemon's answer, because its evaluation takes
// long.
func TestTriggerWaitsForALateRun(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	daemon := http.NewServeMux()
	daemon.HandleFunc("POST /v1/models/news/trigger", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"text": "the request is stored"}`)
	})
	daemon.HandleFunc("GET /v1/runs", func(w http.ResponseWriter, _ *http.Request) {
		list := `{"id": "01b", "model": "news"}, {"id": "01a", "model": "news", "forced": true}`
		if asked.Add(1) > 3 {
			list = `{"id": "01c", "model": "news", "forced": true}, ` + list
		}
		fmt.Fprint(w, "["+list+"]")
	})
	daemon.HandleFunc("GET /v1/runs/01c", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"id": "01c", "model": "news", "forced": true, "state": "ended", "outcome": "rejected"}`)
	})
	socket := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: daemon} //nolint:gosec // for this test's own client
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	var out bytes.Buffer
	if code := run([]string{"trigger", "news", "--wait", "--socket", socket}, nil, &out, &out); code != exitNotPromoted {
		t.Errorf("status %d:\n%s", code, out.String())
	}
}
