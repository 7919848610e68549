// Package natstest starts a real NATS server with JetStream inside the test binary.
//
// Each call of Start starts a server on a random port, with its files in the test's temporary directory. Only one test
// may use a Server. The package is never linked into the program.
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

// URL returns the server's address, which Down and Up do not change.
func (s *Server) URL() string { return s.url }

// Down stops the server and keeps its files.
func (s *Server) Down() {
	if s.broker != nil {
		s.broker.Shutdown()
		s.broker = nil
	}
}

// Up starts the server again at the same address and with the same files.
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

// Restart calls Down and Up.
func (s *Server) Restart() {
	s.t.Helper()
	s.Down()
	s.Up()
}

// Connect opens a connection that reconnects quickly. It is closed at the end of the test.
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
