// Package natstest starts a real NATS server with JetStream inside the test binary.
//
// It owns one server per Start, on a random port, with its files in the test's temporary directory. A Server belongs to
// one test. It is never linked into the program.
package natstest

import (
	"errors"
	"net/url"
	"os"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/retraind/retraind/notify"
)

// Server is a broker of one test.
type Server struct {
	t      testing.TB
	dir    string
	url    string
	broker *notify.Broker // nil while it is down
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir()}
	s.start(notify.RandomPort)
	s.url = s.broker.URL()
	t.Cleanup(s.Down)
	return s
}

// URL is its address; it stays the same over Down and Up.
func (s *Server) URL() string { return s.url }

// Down ends the server; its files stay.
func (s *Server) Down() {
	if s.broker != nil {
		s.broker.Shutdown()
		s.broker = nil
	}
}

// Up starts it again at the same address and with the same files.
func (s *Server) Up() {
	s.t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(port)
}

// Keep copies the server's files while it is down; the returned function restores the copy.
func (s *Server) Keep() (restore func()) {
	s.t.Helper()
	kept := s.t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(s.dir)); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		if err := errors.Join(os.RemoveAll(s.dir), os.CopyFS(s.dir, os.DirFS(kept))); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Restart is Down and Up.
func (s *Server) Restart() {
	s.t.Helper()
	s.Down()
	s.Up()
}

// Connect opens a connection with a quick reconnect that is closed with the test.
func (s *Server) Connect() *nats.Conn {
	s.t.Helper()
	conn, err := nats.Connect(s.url, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.ReconnectWait(10e6),
		nats.ReconnectJitter(0, 0))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	return conn
}

func (s *Server) start(port int) {
	s.t.Helper()
	broker, err := notify.StartEmbedded(notify.Options{Dir: s.dir, Port: port, Name: "natstest"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.broker = broker
}
