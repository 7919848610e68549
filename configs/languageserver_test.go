package configs_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/configs"
)

// The server that editors use accepts the schema: it reports faults, completes keys, and shows their descriptions. It
// is not part of the setup: `npm install yaml-language-server`, and its node_modules/.bin in PATH.
func TestLanguageServer(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("yaml-language-server")
	if err != nil {
		t.Skip("yaml-language-server is not installed: npm install -g yaml-language-server")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configs.SchemaFile), configs.Schema(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, program, dir)
	const modeline = "# yaml-language-server: $schema=./" + configs.SchemaFile + "\n"
	path := filepath.Join(dir, "retraind.yaml")

	if got := s.open(path, modeline+good); len(got) > 0 {
		t.Errorf("a good file: %+v", got)
	}
	slips := strings.NewReplacer("accuracy_below: 85%", "acuracy_below: 85%", "cooldown: 24h",
		"cooldown: 24").Replace(good)
	var told []string
	for _, d := range s.open(path, modeline+slips) {
		told = append(told, fmt.Sprintf("%d:%d", d.Range.Start.Line+1, d.Range.Start.Character+1))
	}
	slices.Sort(told)
	// One line more than in good: the modeline.
	if strings.Join(told, " ") != "13:7 14:24" {
		t.Errorf("the mistakes are at %v", told)
	}

	// A partial key is completed where it belongs.
	half := strings.Replace(good, "accuracy_below: 85%", "accuracy_below: 85%\n      accuracy_d", 1)
	s.open(path, modeline+half)
	var completed struct {
		Items []struct {
			Label         string
			Documentation any
		}
	}
	s.ask("textDocument/completion",
		map[string]any{
			"textDocument": map[string]any{"uri": "file://" + path},
			"position":     map[string]int{"line": 13, "character": 16},
		}, &completed)
	found := ""
	for _, i := range completed.Items {
		if i.Label == "accuracy_drop" {
			found = fmt.Sprint(i.Documentation)
		}
	}
	if !strings.Contains(found, "more than chance") {
		t.Errorf("accuracy_d is completed to %+v", completed.Items)
	}
	var hover struct{ Contents struct{ Value string } }
	s.open(path, modeline+good)
	s.ask("textDocument/hover", map[string]any{
		"textDocument": map[string]any{"uri": "file://" + path},
		"position":     map[string]int{"line": 13, "character": 15},
	}, &hover)
	if !strings.Contains(hover.Contents.Value, "least time between") {
		t.Errorf("hovering over cooldown shows %q", hover.Contents.Value)
	}
}

// server is a language server in a child process.
type server struct {
	t    *testing.T
	in   io.Writer
	out  chan message
	id   int
	sent int // version of the document
}

type message struct {
	ID     *int            `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
}

type diagnostic struct {
	Range struct {
		Start struct{ Line, Character int }
	}
	Message string
}

func startServer(t *testing.T, program, dir string) *server {
	t.Helper()
	cmd := exec.Command(program, "--stdio")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s := &server{t: t, in: in, out: make(chan message, 100)}
	go s.listen(out)
	s.ask("initialize", map[string]any{
		"processId": os.Getpid(), "rootUri": "file://" + dir,
		"capabilities": map[string]any{"textDocument": map[string]any{
			"completion": map[string]any{"completionItem": map[string]any{"documentationFormat": []string{"markdown"}}},
		}},
	}, nil)
	s.tell("initialized", map[string]any{})
	s.tell("workspace/didChangeConfiguration", map[string]any{"settings": map[string]any{"yaml": map[string]any{
		"validate": true, "completion": true, "hover": true, "schemaStore": map[string]any{"enable": false},
	}}})
	return s
}

func (s *server) listen(out io.Reader) {
	defer close(s.out)
	r := bufio.NewReader(out)
	for {
		header, err := textproto.NewReader(r).ReadMIMEHeader()
		if err != nil {
			return
		}
		n, err := strconv.Atoi(header.Get("Content-Length"))
		if err != nil {
			return
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		var m message
		if json.Unmarshal(body, &m) == nil {
			s.out <- m
		}
	}
}

func (s *server) send(m map[string]any) {
	s.t.Helper()
	m["jsonrpc"] = "2.0"
	body, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.in, "Content-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) tell(method string, params any) {
	s.t.Helper()
	s.send(map[string]any{"method": method, "params": params})
}

// await reads messages until one fits, and sends empty answers to the server's requests meanwhile.
func (s *server) await(what string, fits func(message) bool) message {
	s.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case m, ok := <-s.out:
			switch {
			case !ok:
				s.t.Fatalf("the server ended before %s", what)
			case m.ID != nil && m.Method == "workspace/configuration":
				s.send(map[string]any{"id": *m.ID, "result": []any{nil, nil, nil, nil, nil, nil}})
			case m.ID != nil && m.Method != "":
				s.send(map[string]any{"id": *m.ID, "result": nil})
			case fits(m):
				return m
			}
		case <-late:
			s.t.Fatalf("no %s within a minute", what)
		}
	}
}

func (s *server) ask(method string, params, into any) {
	s.t.Helper()
	s.id++
	id := s.id
	s.send(map[string]any{"id": id, "method": method, "params": params})
	m := s.await(method, func(m message) bool { return m.ID != nil && *m.ID == id && m.Method == "" })
	if into == nil {
		return
	}
	if err := json.Unmarshal(m.Result, into); err != nil {
		s.t.Fatalf("%s: %v: %s", method, err, m.Result)
	}
}

// open sends a text to the server and returns its diagnostics.
func (s *server) open(path, text string) []diagnostic {
	s.t.Helper()
	s.sent++
	uri := "file://" + path
	if s.sent == 1 {
		s.tell("textDocument/didOpen",
			map[string]any{"textDocument": map[string]any{"uri": uri, "languageId": "yaml", "version": 1, "text": text}})
	} else {
		s.tell("textDocument/didChange",
			map[string]any{
				"textDocument":   map[string]any{"uri": uri, "version": s.sent},
				"contentChanges": []any{map[string]any{"text": text}},
			})
	}
	m := s.await("diagnostics", func(m message) bool { return m.Method == "textDocument/publishDiagnostics" })
	var published struct{ Diagnostics []diagnostic }
	if err := json.Unmarshal(m.Params, &published); err != nil {
		s.t.Fatal(err)
	}
	return published.Diagnostics
}
