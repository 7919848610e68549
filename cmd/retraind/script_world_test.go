package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/retraind/retraind/internal/demo/news"
	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
)

// cluster is a script's own PostgreSQL, nil if it uses the shared one.
type cluster interface {
	Kill() error
	Restart(context.Context) error
}

// cmdPostgres provides a database: "postgres" one on the shared server, "postgres own" a separate server, "postgres
// passwords" a separate server that requires passwords. "postgres kill" and "postgres restart" act on the separate
// server. It sets DSN, PGDIR and PGDATABASE.
func cmdPostgres(ts *testscript.TestScript, neg bool, args []string) {
	w, what := of(ts), strings.Join(args, " ")
	switch what {
	case "":
		w.dsn = pgtest.Database(w.t)
		ts.Setenv("PGDIR", pgtest.Shared().Dir())
	case "own", "passwords":
		c := pgtest.Cluster(w.t, pgcluster.Options{Passwords: what == "passwords"})
		w.cluster, w.dsn = c, c.DSN("postgres")
		ts.Setenv("PGDIR", c.Dir())
	case "kill":
		ts.Check(w.cluster.Kill())
		return
	case "restart":
		ts.Check(w.cluster.Restart(context.Background()))
		return
	default:
		ts.Fatalf("usage: postgres [own|passwords|kill|restart]")
	}
	config, err := pgconn.ParseConfig(w.dsn)
	ts.Check(err)
	ts.Setenv("PGDATABASE", config.Database)
	ts.Setenv("DSN", w.dsn)
}

// cmdSQL runs SQL as the administrator: a text, a file that ends in .sql, or "stdout", the output of the last program.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql TEXT|FILE.sql|stdout")
	}
	text := args[0]
	if strings.HasSuffix(text, ".sql") || text == "stdout" {
		text = ts.ReadFile(text)
	}
	ts.Check(query(of(ts).dsn, text))
}

func query(dsn, text string) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, text).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

// cmdItems creates the table public.items with N labelled texts: items 600.
func cmdItems(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: items N")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(query(of(ts).dsn, `CREATE TABLE public.items (id text PRIMARY KEY, title text NOT NULL, content text NOT NULL, category text)`))
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	conn, err := pgx.Connect(ctx, of(ts).dsn)
	ts.Check(err)
	defer conn.Close(ctx)
	var rows [][]any
	for _, it := range news.Generate(1, n) {
		rows = append(rows, []any{it.ID, it.Title, it.Content, it.Label})
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"public", "items"}, []string{"id", "title", "content", "category"},
		pgx.CopyFromRows(rows))
	ts.Check(err)
}

// cmdLabelFile writes a label file with N labelled texts: label-file labels/news.jsonl 600.
func cmdLabelFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: label-file FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, it := range news.Generate(1, n) {
		ts.Check(enc.Encode(map[string]any{
			"id": it.ID, "text": map[string]string{"title": it.Title, "content": it.Content},
			"label": it.Label,
		}))
	}
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

// cmdDrawn writes a test set of every N-th of the table's COUNT items, from the K-th on: drawn test.jsonl 400 3 1.
func cmdDrawn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: drawn FILE COUNT N K")
	}
	var number [3]int
	for i := range number {
		n, err := strconv.Atoi(args[i+1])
		ts.Check(err)
		number[i] = n
	}
	var b strings.Builder
	for i, it := range news.Generate(1, number[0]) {
		if i%number[1] == number[2] {
			fmt.Fprintf(&b, "{\"id\": %q}\n", it.ID)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// cmdNATS uses the server at $NATS: "nats pub SUBJECT BODY" publishes to a stream, "nats req SUBJECT BODY" writes the
// answer, after its error headers, to the file out.
func cmdNATS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: nats pub|req SUBJECT BODY")
	}
	identity, err := nats.NkeyOptionFromSeed(ts.MkAbs(filepath.Join("state", notify.ClientKeyFile)))
	ts.Check(err)
	conn, err := nats.Connect("nats://"+ts.Getenv("NATS"), nats.Timeout(patience), identity)
	ts.Check(err)
	defer conn.Close()
	answer, err := conn.Request(args[1], []byte(args[2]), patience) // a stream answers too
	ts.Check(err)
	text := string(answer.Data) + "\n"
	if code := answer.Header.Get("Nats-Service-Error-Code"); code != "" {
		text = code + " " + answer.Header.Get("Nats-Service-Error") + "\n" + text
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(normal(ts, text)), 0o600))
}

// cmdNATSItems publishes N labelled texts in one message: nats-items SUBJECT N.
func cmdNATSItems(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: nats-items SUBJECT N")
	}
	cmdLabelFile(ts, false, []string{"published", args[1]})
	cmdNATS(ts, false, []string{"pub", args[0], ts.ReadFile("published")})
}

// cmdConfig writes the retraind.yaml that most scripts need.
func cmdConfig(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: config")
	}
	text, err := os.ReadFile(filepath.Join(dir(ts), "retraind.yaml"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("retraind.yaml"), []byte(expand(ts, string(text))), 0o600))
	// A fixed salt, so that the same items are held out each time.
	ts.Check(os.WriteFile(ts.MkAbs("split-salt"), []byte("a salt for scripts\n"), 0o600))
}

// dir returns the directory of this package's test data.
func dir(ts *testscript.TestScript) string {
	wd, err := os.Getwd() // of the test binary, not of the script
	ts.Check(err)
	return filepath.Join(wd, "testdata")
}

// cmdEdit replaces the only occurrence of a text in a file: edit retraind.yaml 'share: 15%' 'share: 0%'. Variables in
// the new text are expanded.
func cmdEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, args[1]); n != 1 {
		ts.Fatalf("%q occurs %d times in %s", args[1], n, args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]),
		[]byte(strings.Replace(text, args[1], expand(ts, strings.ReplaceAll(args[2], `\n`, "\n")), 1)), 0o600))
}

// cmdExpand copies a file and expands the script's variables: expand dsn pg-dsn.
func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: expand FROM TO")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(expand(ts, ts.ReadFile(args[0]))), 0o600))
}

// cmdRunID sets RUN to the short id of a model's newest run.
func cmdRunID(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: run-id MODEL")
	}
	runs, err := filepath.Glob(filepath.Join(ts.Getenv("STATE"), "models", args[0], "runs", "*"))
	ts.Check(err)
	if len(runs) == 0 {
		ts.Fatalf("no run of %s has begun", args[0])
	}
	ts.Setenv("RUN", text.RunID(slices.Max(runs)))
}

var ports atomic.Int32

// cmdPort sets a variable to a loopback address: "port X" a free one, "port X taken" one with a listener. No other
// test uses this host address, or it could take the port before the script does. It is as long as 127.0.0.1.
func cmdPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: port NAME [taken]")
	}
	own := fmt.Sprintf("127.%d.%d.%d:0", 1+os.Getpid()%9, os.Getpid()/9%10, 1+ports.Add(1)%9)
	l, err := net.Listen("tcp", own)
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	if len(args) == 2 {
		ts.Defer(func() { _ = l.Close() })
		return
	}
	ts.Check(l.Close())
}

// service is a classifier whose behaviour the script chooses.
type service struct {
	*http.Server
	mode atomic.Value
	hang chan struct{}
}

// cmdClassifier starts a classifier of a kind, or changes it: "ok" answers Sport, "slow" never answers, "500", "text"
// answers no JSON, "nofield" answers without the label. It listens at $CLASSIFIER, which it sets if unset.
func cmdClassifier(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: classifier ok|slow|500|text|nofield")
	}
	w := of(ts)
	if w.service != nil {
		w.service.mode.Store(args[0])
		return
	}
	l, err := net.Listen("tcp", cmp.Or(ts.Getenv("CLASSIFIER"), "127.0.0.1:0"))
	ts.Check(err)
	s := &service{hang: make(chan struct{})}
	s.mode.Store(args[0])
	s.Server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	w.service = s
	ts.Defer(func() { close(s.hang) })
	ts.Setenv("CLASSIFIER", l.Addr().String())
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch s.mode.Load() {
	case "slow":
		select {
		case <-s.hang:
		case <-r.Context().Done():
		}
	case "500":
		http.Error(w, "CUDA error: out of memory", http.StatusInternalServerError)
	case "text":
		fmt.Fprintln(w, "<html>It works!</html>")
	case "nofield":
		fmt.Fprintln(w, `{"prediction": "Sport"}`)
	default:
		fmt.Fprintln(w, `{"label": "Sport", "status": "ok", "release": "1"}`)
	}
}
