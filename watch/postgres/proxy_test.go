package postgres

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// socket returns the path of a cluster's or a proxy's socket in a directory.
func socket(dir string) string { return filepath.Join(dir, ".s.PGSQL.5432") }

// through returns the connection string with another host.
func through(dsn, host string) string {
	_, rest, _ := strings.Cut(dsn, " ")
	return "host=" + host + " " + rest
}

// hostOf returns the directory in a connection string.
func hostOf(dsn string) string {
	first, _, _ := strings.Cut(dsn, " ")
	return strings.TrimPrefix(first, "host=")
}

// listenIn accepts connections on a socket in a new directory and serves each until the test ends.
func listenIn(t *testing.T, serve func(net.Conn)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	listener, err := net.Listen("unix", socket(dir))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			group.Go(func() {
				serve(conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return dir
}

// staller forwards everything until silent is set. Then it still accepts bytes and new connections, but forwards
// nothing.
type staller struct {
	silent atomic.Bool
	back   string
}

func (s *staller) serve(front net.Conn) {
	back, err := net.Dial("unix", s.back)
	if err != nil {
		return
	}
	defer back.Close()
	pipe := func(to, from net.Conn) {
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				if !s.silent.Load() {
					_ = to.Close()
				}
				return
			}
			if s.silent.Load() {
				continue
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	done := make(chan struct{})
	go func() { pipe(front, back); close(done) }()
	pipe(back, front)
	_ = back.Close()
	<-done
}

// switcher simulates a pooler in transaction mode: each transaction may get another server process, clients get the
// pooler's process ids, and messages of a server between transactions are dropped.
type switcher struct {
	back string
	next atomic.Int64
}

// backend is a server connection of the switcher, opened with the start-up packet of its client.
type backend struct{ net.Conn }

func message(from io.Reader) (kind byte, whole []byte, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	whole = slices.Concat(head, make([]byte, binary.BigEndian.Uint32(head[1:])-4))
	_, err = io.ReadFull(from, whole[5:])
	return head[0], whole, err
}

func (s *switcher) open(startup []byte, front io.Writer) (*backend, error) {
	conn, err := net.Dial("unix", s.back)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(startup); err != nil {
		return nil, err
	}
	for {
		kind, whole, err := message(conn)
		if err != nil {
			return nil, err
		}
		if kind == 'K' { // the process id that clients get is the pooler's
			binary.BigEndian.PutUint32(whole[5:], uint32(1_000_000+s.next.Add(1)))
		}
		if _, err := front.Write(whole); err != nil {
			return nil, err
		}
		if kind == 'E' {
			return nil, errors.New("refused")
		}
		if kind == 'Z' {
			return &backend{conn}, nil
		}
	}
}

func (s *switcher) serve(front net.Conn) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(front, size); err != nil {
		return
	}
	startup := slices.Concat(size, make([]byte, binary.BigEndian.Uint32(size)-4))
	if _, err := io.ReadFull(front, startup[4:]); err != nil {
		return
	}
	var backends []*backend
	defer func() {
		for _, b := range backends {
			_ = b.Close()
		}
	}()
	for i := range 2 {
		into := io.Writer(front)
		if i > 0 {
			into = io.Discard
		}
		b, err := s.open(startup, into)
		if err != nil {
			return
		}
		backends = append(backends, b)
	}
	inside := false // a transaction is open
	at := 0
	for {
		if !inside {
			at = 1 - at
		}
		// Forward the client's messages up to one that the server must answer, then forward the answer.
		for {
			kind, whole, err := message(front)
			if err != nil || kind == 'X' {
				return
			}
			if _, err := backends[at].Write(whole); err != nil {
				return
			}
			if kind == 'Q' || kind == 'S' {
				break
			}
		}
		for {
			kind, whole, err := message(backends[at])
			if err != nil {
				return
			}
			if kind == 'A' {
				continue // a notification: most arrive when no client is linked to the server process any more
			}
			if _, err := front.Write(whole); err != nil {
				return
			}
			if kind == 'Z' {
				inside = whole[5] != 'I'
				break
			}
		}
	}
}
