package ollamatest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
)

// ErrNoServer is returned if no real server was built on this machine.
var ErrNoServer = errors.New("no Ollama server is built here: run scripts/ollama.sh once (6-8 minutes)")

// Server is a real Ollama server for one test.
type Server struct {
	URL string
	// Models is the server's model directory.
	Models string
	// Log is the server's log file.
	Log string

	t      testing.TB
	binary string
	cmd    *exec.Cmd
	ended  chan struct{}
	groups []int // process groups of the processes that Server started
}

// shared is the server that the tests of a binary share. It is a package variable, because it outlives each test.
var shared struct {
	once   sync.Once
	server *Server
	dir    string
	err    error
}

// Main runs the tests and stops the shared server: func TestMain(m *testing.M) { os.Exit(ollamatest.Main(m)) }.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		shared.server.end(syscall.SIGTERM)
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	return code
}

// Real returns the URL of the real server that the tests of a binary share. If none is built the test is skipped, or
// fails if RETRAIND_OLLAMA is set. Each test must use its own model names (Name).
func Real(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() {
		var binary string
		if binary, shared.err = built(); shared.err != nil {
			return
		}
		if shared.dir, shared.err = os.MkdirTemp("", "ollamatest"); shared.err == nil {
			shared.server, shared.err = launch(binary, shared.dir, 0)
		}
	})
	require(t, shared.err)
	return shared.server.URL
}

// Start starts a real server for this test alone, for tests that kill or restart it.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartIn(t, t.TempDir())
}

// StartIn starts a server as Start does. The server keeps its models in the directory "models" below dir.
func StartIn(t testing.TB, dir string) *Server {
	t.Helper()
	binary, err := built()
	require(t, err)
	s, err := launch(binary, dir, 0)
	require(t, err)
	s.t = t
	t.Cleanup(func() {
		s.end(syscall.SIGTERM)
		for _, group := range s.groups { // the model processes of a killed server
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
	})
	return s
}

// Stop stops the server and its model processes; it keeps its files and its address.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill kills the server as a crash does: its model processes survive.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Up starts the server again, at the same address and with the same files.
func (s *Server) Up() {
	s.t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		s.t.Fatal(err)
	}
	again, err := launch(s.binary, filepath.Dir(s.Models), number)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.ended = again.cmd, again.ended
	s.groups = append(s.groups, again.groups...)
}

func require(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrNoServer) && os.Getenv("RETRAIND_OLLAMA") == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

// built returns the path of the server that scripts/ollama.sh has built, or ErrNoServer.
func built() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		script := filepath.Join(dir, "scripts", "ollama.sh")
		if _, err := os.Stat(script); err == nil {
			out, err := exec.Command(script, "--path").Output()
			if err != nil {
				return "", fmt.Errorf("%s --path: %w", script, err)
			}
			binary := strings.TrimSpace(string(out))
			if _, err := os.Stat(binary); err != nil {
				return "", ErrNoServer
			}
			return binary, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("scripts/ollama.sh is in no directory above")
		}
		dir = filepath.Dir(dir)
	}
}

// launch starts the server on a port, 0 for any, and waits until it answers.
func launch(binary, dir string, port int) (*Server, error) {
	if port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		port = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	s := &Server{
		URL: fmt.Sprintf("http://127.0.0.1:%d", port), Models: filepath.Join(dir, "models"),
		Log: filepath.Join(dir, "ollama.log"), binary: binary, ended: make(chan struct{}),
	}
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = exec.Command(binary, "serve")
	s.cmd.Env = append(os.Environ(), "HOME="+dir, "OLLAMA_HOST="+strings.TrimPrefix(s.URL, "http://"),
		"OLLAMA_MODELS="+s.Models, "OLLAMA_NOPRUNE=", "GOMAXPROCS=1")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.groups = []int{s.cmd.Process.Pid}
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	deadline := time.Now().Add(waittest.Patience)
	for {
		resp, err := http.Get(s.URL + "/api/version")
		if err == nil {
			_ = resp.Body.Close()
			return s, nil
		}
		select {
		case <-s.ended:
			text, _ := os.ReadFile(s.Log)
			return nil, fmt.Errorf("ollama serve ended: %s", bytes.TrimSpace(text))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.end(syscall.SIGKILL)
			return nil, fmt.Errorf("ollama serve does not answer: %w", err)
		}
	}
}

// end sends a signal and waits for the process.
func (s *Server) end(signal syscall.Signal) {
	_ = s.cmd.Process.Signal(signal)
	<-s.ended
}
