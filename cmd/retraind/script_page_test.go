package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/retraind/retraind/internal/doctest"
	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
)

const repository = "../.."

// TestPages runs the shell and SQL blocks of the documents in their order, as a reader would. The script
// testdata/page/NAME.txtar sets up what docs/NAME.md assumes, and runs the blocks with the command `blocks`.
func TestPages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the documents describe the program as it is shipped, without the race detector")
	}
	files, err := filepath.Glob("testdata/page/*.txtar")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d scripts found: %v", len(files), err)
	}
	testscript.Run(t, params(files))
}

// Every block of a document is run by a test, or a comment above it says why none runs it.
func TestBlocksAreRun(t *testing.T) {
	t.Parallel()
	run := 0
	for _, page := range doctest.Pages(t, repository) {
		script := filepath.Join("testdata", "page", strings.TrimSuffix(filepath.Base(page), ".md")+".txtar")
		for _, b := range doctest.Blocks(t, repository, page) {
			if b.RunBy != "" && (b.RunBy != "internal/systemdtest" || page != "docs/operations.md") {
				t.Errorf("%s:%d: package %s does not run the blocks of this page", b.Page, b.Line, b.RunBy)
			}
			if !ours(b) {
				continue
			}
			run++
			if _, err := os.Stat(script); err != nil {
				t.Errorf("%s:%d: no test runs this block: add cmd/retraind/%s, or the reason in the line above the block: "+
					"<!-- not run: REASON -->", b.Page, b.Line, script)
			}
		}
	}
	if run < 20 {
		t.Errorf("only %d blocks are run: this test does not see the documents", run)
	}
}

// ours reports whether the block is run here.
func ours(b doctest.Block) bool { return b.NotRun == "" && b.RunBy == "" }

// pageRun is the state of a page whose blocks are run.
type pageRun struct {
	blocks  []doctest.Block // not run yet
	replace []string        // old and new texts in pairs
}

// cmdReplace replaces a text in the blocks that follow, because a test needs another one than the page shows, such as a
// port or the id of a run: replace 127.0.0.1:8082 $CLASSIFIER.
func cmdReplace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: replace OLD NEW")
	}
	p := pageOf(ts)
	if !slices.ContainsFunc(p.blocks, func(b doctest.Block) bool { return strings.Contains(b.Text, args[0]) }) {
		ts.Fatalf("%q is in no block that follows", args[0])
	}
	p.replace = append(args, p.replace...) // the latest one takes precedence
}

// cmdBlocks runs the page's next blocks and writes their normalized output into the file `out`. With a text it stops
// before the first block that contains the text: blocks 'retraind check'.
func cmdBlocks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: blocks [TEXT]")
	}
	p := pageOf(ts)
	count := len(p.blocks)
	if len(args) == 1 {
		count = slices.IndexFunc(p.blocks, func(b doctest.Block) bool { return strings.Contains(b.Text, args[0]) })
	}
	if count < 1 {
		ts.Fatalf("no block to run before one with %q", args)
	}
	var out strings.Builder
	for _, b := range p.blocks[:count] {
		runBlock(ts, b, strings.NewReplacer(p.replace...).Replace(b.Text), &out)
	}
	p.blocks = p.blocks[count:]
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(normal(ts, out.String())), 0o600))
}

// cmdServer starts a PostgreSQL that listens at localhost and requires passwords, and lets psql and similar programs of
// the script log in as the administrator. It sets PGDIR, PGHOST, PGPORT, PGUSER and PGPASSWORD.
func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: server")
	}
	w := of(ts)
	l, err := net.Listen("tcp", "127.0.0.1:0") // the documents write localhost
	ts.Check(err)
	host, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(errors.Join(err, l.Close()))
	c := pgtest.Cluster(w.t, pgcluster.Options{
		Passwords: true, Settings: map[string]string{"listen_addresses": host, "port": port},
	})
	w.cluster, w.dsn = c, c.DSN("postgres")+" port="+port
	for name, value := range map[string]string{
		"PGDIR": c.Dir(), "PGHOST": host, "PGPORT": port, "PGUSER": pgcluster.Superuser, "PGPASSWORD": pgcluster.Superuser,
		"PATH": c.Bin() + ":" + ts.Getenv("PATH"),
	} {
		ts.Setenv(name, value)
	}
}

// cmdEmbeddings starts a service at $EMBEDDINGS that answers as Ollama's /api/embed does: texts with words in common
// get similar vectors.
func cmdEmbeddings(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: embeddings")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.URL.Path != "/api/embed" {
			http.Error(w, "not a request for embeddings", http.StatusBadRequest)
			return
		}
		answer := map[string][][64]float32{}
		for _, text := range asked.Input {
			vector := [64]float32{1}
			for word := range strings.FieldsSeq(text) {
				vector[crc32.ChecksumIEEE([]byte(word))%64]++
			}
			answer["embeddings"] = append(answer["embeddings"], vector)
		}
		_ = json.NewEncoder(w).Encode(answer) // a client that has gone does not read it
	}))
	ts.Defer(server.Close)
	ts.Setenv("EMBEDDINGS", server.Listener.Addr().String())
}

// pageOf returns the state of the script's page: testdata/page/quickstart.txtar runs docs/quickstart.md.
func pageOf(ts *testscript.TestScript) *pageRun {
	w := of(ts)
	if w.page == nil {
		all := doctest.Blocks(w.t, repository, "docs/"+ts.Name()+".md")
		w.page = &pageRun{blocks: slices.DeleteFunc(all, func(b doctest.Block) bool { return !ours(b) })}
		ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), shellState), nil, 0o600))
		// psql continues after an error by default.
		ts.Check(os.WriteFile(filepath.Join(ts.Getenv("HOME"), ".psqlrc"), []byte("\\set ON_ERROR_STOP on\n"), 0o600))
	}
	return w.page
}

// A page's blocks run as if they were typed into one shell: a file keeps the shell's directory and variables from block
// to block.
const (
	shellState = ".shell"
	enter      = `set -eo pipefail; . "$WORK/` + shellState + `"; `
	leave      = `{ export -p; printf 'cd %q\n' "$PWD"; } >"$WORK/` + shellState + `"`
	locate     = `trap 'echo "$0:$LINENO: exit status $?: $BASH_COMMAND" >&2' ERR`
)

func runBlock(ts *testscript.TestScript, b doctest.Block, text string, out *strings.Builder) {
	if b.Needs != "" {
		if _, err := exec.LookPath(b.Needs); err != nil {
			of(ts).t.Logf("%s:%d: not run: %v", b.Page, b.Line, err)
			return
		}
	}
	if b.Name != "" {
		cmd := exec.Command("bash", "-c", enter+"exec "+text)
		cmd.Env = append(environment(ts), "WORK="+ts.Getenv("WORK"))
		launch(ts, b.Name, b.Ready, cmd)
		return
	}
	if b.Language == "sql" {
		text = "psql <<'SQL'\n" + text + "SQL\n"
	}
	// Empty lines make the line numbers of the shell equal to those of the page.
	script := enter + locate + strings.Repeat("\n", b.Line-1) + text + leave
	err := ts.Exec("timeout", fmt.Sprint(patience.Seconds()), "bash", "-c", script, b.Page)
	out.WriteString(ts.ReadFile("stdout"))
	if err != nil {
		ts.Fatalf("%s:%d: %v\n%s%s", b.Page, b.Line, err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}
