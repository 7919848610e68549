package daemon_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/daemon"
	"github.com/retraind/retraind/internal/evaluator"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/systemd"
	"github.com/retraind/retraind/watch/postgres"
)

// TestMain lets the test binary act as the daemon's children: the supervisor of a step, and the training.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		var err error
		switch os.Args[1] {
		case "exec-step":
			err = runner.Supervise(os.Args[2])
		case "train":
			err = train(os.Getenv("WORLD"))
		case "gpu-probe": // a driver that never answers
			hung := make(chan os.Signal, 1)
			signal.Notify(hung, os.Interrupt)
			<-hung
		case "follow":
			err = followTable()
		default:
			os.Exit(pgtest.Main(m))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(pgtest.Main(m))
}

// train is the training command. It records its start, and does not end while the test holds it.
func train(dir string) error {
	log, err := os.OpenFile(filepath.Join(dir, "train.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "%s %d\n", os.Getenv(runner.AttemptVar), os.Getpid())
	if err := errors.Join(err, log.Close()); err != nil {
		return err
	}
	for exists(filepath.Join(dir, "hold")) {
		<-time.After(5 * time.Millisecond)
	}
	_, err = classifier.TrainDir(os.Getenv("RETRAIND_DATA_DIR"), os.Getenv("RETRAIND_RELEASE_DIR"),
		classifier.Options{Epochs: 5}, nil)
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

const (
	model = "news"
	items = 160
	salt  = "pepper"
)

var vocabulary = map[string][]string{
	"sport": strings.Fields("ball tor elf meter strafraum abseits trainer stadion pokal liga"),
	"geld":  strings.Fields("zins bank aktie kurs dividende anleihe inflation rendite depot fonds"),
}

// text returns the n-th text of a category.
func text(category string, n int) string {
	rng := rand.New(rand.NewPCG(uint64(len(category)), uint64(n)))
	words := make([]string, 10)
	for i := range words {
		words[i] = vocabulary[category][rng.IntN(len(vocabulary[category]))]
	}
	return fmt.Sprintf("%s nummer%d", strings.Join(words, " "), n)
}

func tableSQL() string {
	var b strings.Builder
	b.WriteString("create table items (id text primary key, content text not null, category text);\n")
	for n := range items {
		category := []string{"sport", "geld"}[n%2]
		fmt.Fprintf(&b, "insert into items values ('%d', '%s', '%s');\n", n, text(category, n), category)
	}
	return b.String()
}

// world is the environment of a daemon. Its fields may be changed before a start.
type world struct {
	t       testing.TB
	dir     string
	dsn     string
	service *service

	state    string
	nats     string // the value of nats:
	timeout  string // of the classifier
	serving  string // more keys of serving
	ollama   string // URL of the server whose model answers, "" for the service
	barrier  evaluator.Barrier
	hours    string // quiet_hours, "" for always
	evaluate string
	when     string // retrain_when
	steps    string // pipeline, "" for the usual one
	listen   string
	labels   string // the labels section, "" for the table
	trial    string // probation, "" for none
	suspects string // suspicious_labels, "" for ignore
	gpu      string // the gpu section, "" for none
}

func setup(t testing.TB) *world {
	t.Helper()
	w := alone(t)
	w.dsn = database(t)
	return w
}

// alone returns a world without a database.
func alone(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), service: serve(t), nats: "{embedded: true, listen: none}", listen: "off", timeout: "5s",
		evaluate: "{every: 1h, after_changes: 0, debounce: 10ms, max_wait: 20ms, min_items: 10}",
		when:     "{accuracy_below: 30%}",
	}
	w.state = filepath.Join(w.dir, "state")
	w.follow()
	if err := os.WriteFile(filepath.Join(w.dir, "salt"), []byte(salt+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// database creates a database with the table and with the triggers of `retraind init sql`.
func database(t testing.TB) string {
	t.Helper()
	return pgtest.Database(t, tableSQL(), migration(t))
}

func migration(t testing.TB) string {
	t.Helper()
	w := world{
		t: t, dir: "/nowhere", dsn: "host=/nowhere", service: &service{address: "127.0.0.1:1"},
		nats: "{embedded: true}", evaluate: "{every: 1h}", timeout: "5s", when: "{max_age: 1d}", listen: "off",
	}
	return w.migration()
}

// migration returns the SQL of `retraind init` for the world's configuration.
func (w *world) migration() string {
	w.t.Helper()
	l, err := configs.Parse("retraind.yaml", []byte(w.config()))
	if err != nil {
		w.t.Fatal(err)
	}
	sql, err := postgres.Migration(model, l.File.Models[model].Labels.Postgres)
	if err != nil {
		w.t.Fatal(err)
	}
	return sql
}

func (w *world) config() string {
	hours := ""
	if w.hours != "" {
		hours = "\n    quiet_hours: " + w.hours
	}
	if w.trial != "" {
		hours += "\n    probation: " + w.trial
	}
	if w.gpu != "" {
		hours += "\n    gpu: " + w.gpu
	}
	labels := w.labels
	if labels == "" {
		labels = fmt.Sprintf("{postgres: {dsn: %q, table: items, id: id, text: [content], label: category}}", w.dsn)
	}
	steps := w.steps
	if steps == "" {
		steps = w.usual("")
	}
	serving := fmt.Sprintf("classify: \"http://%[1]s/classify\", health: \"http://%[1]s/health\"", w.service.address)
	ollama := ""
	if w.ollama != "" {
		serving = "ollama: {model: news, format_file: answer.json, options: {temperature: 0}}"
		ollama = fmt.Sprintf("ollama: {url: %q}\n", w.ollama)
	}
	return fmt.Sprintf(`version: 1
state: %q
listen: %s
nats: %s
%smodels:
  %s:
    labels: %s
    heldout: {share: 30%%, salt_file: %q}
    serving: {%s, timeout: %s%s}
    evaluate: %s
    retrain_when: %s
    limits: {cooldown: 0s, budget: "", breaker: 0, suspicious_labels: %s}%s
    pipeline: {default: %s}
    promote: {gate: not_worse, margin: 20, verify_within: 5s, undo_within: 1s}
`,
		w.state, w.listen, w.nats, ollama, model, labels, filepath.Join(w.dir, "salt"), serving, w.timeout, w.serving,
		w.evaluate, w.when,
		cmp.Or(w.suspects, "ignore"), hours, steps)
}

// usual returns the usual pipeline, with more steps before the training.
func (w *world) usual(before string) string {
	return fmt.Sprintf("[{do: export}, %s{name: train, exec: [retraind, train], kind: pure, env: {WORLD: %q}}, {do: gate}, {do: release}, {do: verify}]",
		before, w.dir)
}

// closed returns quiet hours that begin in half a day.
func closed() string {
	far := time.Now().UTC().Add(12 * time.Hour)
	return fmt.Sprintf("[{from: %q, to: %q}]", far.Format("15:04"), far.Add(time.Hour).Format("15:04"))
}

func (w *world) path() string { return filepath.Join(w.dir, "retraind.yaml") }

// write writes the configuration atomically.
func (w *world) write(text string) {
	w.t.Helper()
	tmp := w.path() + ".new"
	if err := errors.Join(os.WriteFile(tmp, []byte(text), 0o600), os.Rename(tmp, w.path())); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) load() (*configs.Loaded, error) {
	l, err := configs.Load(w.path())
	if err == nil {
		_, err = l.File.Overlay(nil)
	}
	return l, err
}

// running is a daemon in this process.
type running struct {
	*status.Client
	w        *world
	force    chan struct{}
	evaluate chan struct{}
	audit    chan struct{}
	soft     context.CancelCauseFunc
	hard     context.CancelFunc
	done     chan struct{}
	err      error // valid once done is closed
}

// begin runs a daemon; ready is closed once it serves.
func (w *world) begin(notifier *systemd.Notifier) (r *running, ready chan struct{}) {
	w.t.Helper()
	w.write(w.config())
	loaded, err := w.load()
	if err != nil {
		w.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	if notifier == nil {
		notifier = systemd.NewNotifier(func(string) string { return "" })
	}
	soft, stop := context.WithCancelCause(context.Background())
	hard, stopHard := context.WithCancel(context.Background())
	r = &running{
		Client: status.NewClient(filepath.Join(w.state, "retraind.sock")), w: w, force: make(chan struct{}, 1),
		evaluate: make(chan struct{}, 1), audit: make(chan struct{}, 1),
		soft: stop, hard: stopHard, done: make(chan struct{}),
	}
	ready = make(chan struct{})
	log := slog.New(slog.NewTextHandler(logTo{w.t, r}, nil))
	go func() {
		defer close(r.done)
		r.err = daemon.Run(soft, daemon.Options{
			Loaded: loaded, Reread: w.load, Self: self, Version: "test", Log: log, Notifier: notifier,
			Force: r.force, Evaluate: r.evaluate, Audit: r.audit, Hard: hard, Ready: func() { close(ready) },
			Barrier: w.barrier,
		})
	}()
	w.t.Cleanup(func() {
		stop(nil)
		stopHard()
		<-r.done
		r.Close()
	})
	return r, ready
}

// start runs a daemon and waits until it serves.
func (w *world) start() *running {
	w.t.Helper()
	r, ready := w.begin(nil)
	select {
	case <-ready:
	case <-r.done:
		w.t.Fatal(r.err)
	}
	return r
}

// refused runs a daemon that must not start, and returns its error.
func (w *world) refused() string {
	w.t.Helper()
	r, ready := w.begin(nil)
	select {
	case <-ready:
		w.t.Fatal("it started")
	case <-r.done:
	}
	if r.err == nil {
		w.t.Fatal("it ended without an error")
	}
	return r.err.Error()
}

// stop requests a soft stop and waits for its end.
func (r *running) stop() {
	r.w.t.Helper()
	r.soft(daemon.ErrStopped)
	<-r.done
	if r.err != nil {
		r.w.t.Fatal(r.err)
	}
}

// logTo writes to the test's log until the daemon has ended.
type logTo struct {
	t testing.TB
	r *running
}

func (l logTo) Write(b []byte) (int, error) {
	select {
	case <-l.r.done:
	default:
		l.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// patience is the deadline of all waits.
const patience = waittest.Patience

// model waits until ok returns true for the status of the model.
func (r *running) model(what string, ok func(status.Model) bool) (m status.Model) {
	r.w.t.Helper()
	waittest.EventuallyHolds(r.w.t, what, func() (bool, error) {
		s, err := r.Snapshot(context.Background())
		if err != nil {
			return false, err
		}
		m = s.Models[0]
		if !ok(m) {
			return false, fmt.Errorf("%s: %s", m.Phase, m.Sentence)
		}
		return true, nil
	})
	return m
}

// ended waits until n runs have ended and none is in progress. It returns all runs, the newest first.
func (r *running) ended(n int) (runs []status.Run) {
	r.w.t.Helper()
	waittest.EventuallyHolds(r.w.t, fmt.Sprintf("the end of %d runs", n), func() (bool, error) {
		var err error
		runs, err = r.Runs(context.Background(), model, 100)
		if err != nil {
			return false, err
		}
		return len(runs) >= n && runs[0].State == store.RunEnded, fmt.Errorf("%d runs", len(runs))
	})
	if len(runs) != n {
		r.w.t.Fatalf("%d runs, want %d", len(runs), n)
	}
	return runs
}

// first waits for the first release, which needs no request.
func (r *running) first() status.Run {
	r.w.t.Helper()
	run := r.ended(1)[0]
	if run.Outcome != policy.OutcomePromoted {
		r.w.t.Fatalf("the first run: %+v", run)
	}
	r.model("the first release to be judged",
		func(m status.Model) bool { return m.Report != nil && m.Report.Release == m.Release && m.Active == nil })
	return run
}

// sql edits the table.
func (w *world) sql(statements ...string) {
	w.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.dsn)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			w.t.Fatalf("%s: %v", s, err)
		}
	}
}

// read reads the store while a daemon runs or after it ended.
func (w *world) read(f func(*store.Tx) error) {
	w.t.Helper()
	s, err := store.OpenReader(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	if err := s.View(context.Background(), f); err != nil {
		w.t.Fatal(err)
	}
}

// raw runs a statement on the store without the daemon.
func (w *world) raw(statement string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.state, "retraind.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("pragma busy_timeout = 10000; " + statement); err != nil {
		w.t.Fatal(err)
	}
}

// occupy holds the store's write lock, as a backup by another program may, until the returned function is called.
func (w *world) occupy() func() {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.state, "retraind.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	w.t.Cleanup(func() { db.Close() })
	if _, err := db.Exec("pragma busy_timeout = 10000; begin immediate"); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if _, err := db.Exec("rollback"); err != nil {
			w.t.Fatal(err)
		}
	}
}

// refuseReports makes the store refuse the writes of an evaluation.
func (w *world) refuseReports() {
	w.raw("create trigger refuse before insert on reports begin select raise(abort, 'no more reports'); end")
}

// hold keeps training commands from ending until the returned function is called.
func (w *world) hold() func() {
	w.t.Helper()
	file := filepath.Join(w.dir, "hold")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
	release := func() { _ = os.Remove(file) }
	w.t.Cleanup(release)
	return release
}

// trainings lists the started attempts of the training command, with their pids.
func (w *world) trainings() (attempts []string, pids []int) {
	b, _ := os.ReadFile(filepath.Join(w.dir, "train.log"))
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var attempt string
		var pid int
		if n, _ := fmt.Sscan(line, &attempt, &pid); n == 2 {
			attempts, pids = append(attempts, attempt), append(pids, pid)
		}
	}
	return attempts, pids
}

// training waits until the training command has started for the n-th time, and returns its pid.
func (w *world) training(n int) (pid int) {
	w.t.Helper()
	waittest.EventuallyHolds(w.t, fmt.Sprintf("training %d", n), func() (bool, error) {
		_, pids := w.trainings()
		if len(pids) >= n {
			pid = pids[n-1]
		}
		return len(pids) >= n, nil
	})
	return pid
}

// service is the real classifier at an address that it keeps while it is down. Tests can replace its answers.
type service struct {
	other   atomic.Pointer[http.HandlerFunc] // answers instead of the releases; nil for none
	t       testing.TB
	address string
	fault   atomic.Pointer[http.HandlerFunc] // answers /classify instead
	real    atomic.Pointer[classifier.Server]
	http    *http.Server
}

// served counts the services. Each has its own loopback address, so that nothing takes its port while it is down.
var served atomic.Int32

func serve(t testing.TB) *service {
	t.Helper()
	s := &service{t: t, address: fmt.Sprintf("127.%d.%d.%d:8082", 128+os.Getpid()>>8&63, os.Getpid()&255, served.Add(1))}
	s.up()
	t.Cleanup(s.down)
	return s
}

func (s *service) up() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.http = &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go s.http.Serve(l) //nolint:errcheck // it ends with Close
}

func (s *service) down() { _ = s.http.Close() }

// follow makes the service serve the target of the world's `current`, which it reads again at each health request.
func (w *world) follow() {
	current := filepath.Join(w.state, "models", model, "current")
	w.service.real.Store(classifier.NewServer(classifier.ServerOptions{Dir: current}))
}

func (s *service) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if other := s.other.Load(); other != nil {
		(*other)(rw, r)
		return
	}
	if fault := s.fault.Load(); fault != nil && r.URL.Path == "/classify" {
		_, _ = io.Copy(io.Discard, r.Body)
		(*fault)(rw, r)
		return
	}
	real := s.real.Load()
	if real == nil {
		http.Error(rw, "no model", http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == "/health" {
		_ = real.Reload()
	}
	real.ServeHTTP(rw, r)
}

// answer returns a handler with a fixed answer.
func answer(code int, body string) *http.HandlerFunc {
	h := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(code)
		_, _ = io.WriteString(rw, body)
	})
	return &h
}
