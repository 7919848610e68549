package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/configs"
)

// A database that accepts connections and never answers leaves the classifier its time to answer.
func TestSilentServerLeavesOthersTheirTime(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	healthy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status": "ok", "release": "sha256:1"}`)
	}))
	defer healthy.Close()
	l, err := configs.Parse("retraind.yaml", fmt.Appendf(nil, `
version: 1
state: %s
nats: {embedded: true, listen: none}
models:
  news:
    labels: {postgres: {dsn: "postgres://me@%s/db?sslmode=disable", table: items, id: id, text: [title], label: topic}}
    serving: {classify: %s/classify, health: %[3]s/health}
    retrain_when: {max_age: 30d}
`, t.TempDir(), silent.Addr(), healthy.URL))
	if err != nil {
		t.Fatal(err)
	}
	found := checkOnline(l.File, 2*time.Second)
	if len(found) != 1 || !strings.HasPrefix(found[0].Path, "models.news.labels") {
		t.Errorf("%+v", found)
	}
}
