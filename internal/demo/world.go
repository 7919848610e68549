package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
)

const modelName = "news"

// world contains everything that runs during the demo, as a user would set it up: a database, a daemon with its
// configuration file, a classifier service, its clients, and a subscriber.
type world struct {
	self     string
	dir      string
	story    story
	db       *database
	socket   *net.TCPListener // the classifier's, kept open so that no request fails during a restart
	address  string
	service  *child
	daemon   *child
	client   *status.Client
	asker    atomic.Pointer[asker] // nil until the clients start; the screen reads it
	stopAsk  func()
	natsURL  string
	page     string
	listener *listener
}

func (w *world) config() string { return filepath.Join(w.dir, "retraind.yaml") }
func (w *world) state() string  { return filepath.Join(w.dir, "state") }

// build starts everything except the classifier's clients.
func (w *world) build(ctx context.Context, say func(string)) (err error) {
	// A fixed salt, so that each demo holds out the same items and has the same figures.
	if err := os.WriteFile(filepath.Join(w.dir, "split-salt"), []byte("retraind demo\n"), 0o600); err != nil {
		return err
	}
	say("starting a private PostgreSQL")
	if w.db, err = openDatabase(ctx); err != nil {
		return err
	}
	if err := w.db.fill(ctx, w.story); err != nil {
		return fmt.Errorf("fill the table: %w", err)
	}
	if w.socket, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		return err
	}
	w.address = w.socket.Addr().String()
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	w.natsURL, w.page = ports[0], ports[1]
	// No window is open yet: the first retraining is requested, and each act opens its own window.
	if err := w.writeConfig(time.Now().UTC().Add(farAway)); err != nil {
		return err
	}
	say("preparing the table: retraind init sql")
	sql, err := w.output(ctx, "init", "sql", "--config", w.config(), "--role", daemonRole)
	if err != nil {
		return err
	}
	if err := w.db.run(ctx, sql); err != nil {
		return fmt.Errorf("run the migration: %w", err)
	}
	say("starting the daemon and the classifier service")
	if w.daemon, err = startChild(ctx, "daemon", filepath.Join(w.dir, "daemon.log"), "msg=ready", nil, w.self, "run",
		"--config", w.config()); err != nil {
		return err
	}
	if w.service, err = w.startService(ctx, true); err != nil {
		return err
	}
	w.client = status.NewClient(filepath.Join(w.state(), "retraind.sock"))
	w.natsURL = "nats://" + w.natsURL
	return nil
}

// writeConfig writes the configuration with quiet hours that begin at the given time and last two hours.
func (w *world) writeConfig(opens time.Time) error {
	text := fmt.Sprintf(`# Written by retraind demo.
version: 1
timezone: UTC
state: %s
listen: %s
nats: {embedded: true, listen: %q}
models:
  %s:
    labels:
      postgres:
        dsn: %q
        table: items
        id: id
        text: [title, content]
        label: category
        author: updated_by
        updated_at: updated_at
    heldout: {share: %.1f%%, salt_file: split-salt}
    serving:
      classify: http://%s/classify
      health: http://%s/health
    evaluate: {every: 1m, after_changes: 0, debounce: 150ms, max_wait: 300ms, min_items: %d}
    retrain_when:
      accuracy_drop: {points: 3, false_retrains: 1 per 180d}
      new_category: {examples: 20}
    # The default (hold) would block a retrain on the shuffled labels of act 2; here the gate is to refuse the candidate.
    limits: {cooldown: 2s, budget: 20 per 1d, breaker: 10, suspicious_labels: ignore}
    quiet_hours:
      - {from: %q, to: %q}
    promote: {gate: not_worse, margin: %g, parity: 99.5%%, verify_within: 5s}
`,
		w.state(), w.page, w.natsURLListen(), modelName, w.dsn(), 100*w.story.share, w.address,
		w.address, w.story.minimum, opens.Format("15:04:05"),
		opens.Add(2*time.Hour).Format("15:04:05"), w.story.margin)
	tmp := w.config() + ".new"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, w.config())
}

// natsKey returns the path of the credential with which programs connect to the broker.
func (w *world) natsKey() string { return filepath.Join(w.state(), notify.ClientKeyFile) }

func (w *world) natsURLListen() string {
	if len(w.natsURL) > 7 && w.natsURL[:7] == "nats://" {
		return w.natsURL[7:]
	}
	return w.natsURL
}

// dsn returns the connection string of the daemon's own login, which has only the rights that the migration granted.
func (w *world) dsn() string {
	return fmt.Sprintf("host=%s user=%s dbname=%s", w.db.cluster.Dir(), daemonRole, databaseName)
}

// openWindow makes quiet hours begin after the given time and makes the daemon reload, as an operator would.
func (w *world) openWindow(in time.Duration) error {
	if err := w.writeConfig(time.Now().UTC().Add(in).Truncate(time.Second)); err != nil {
		return err
	}
	return w.daemon.signal(syscall.SIGHUP)
}

// farAway is the time until a window that must not open during the demo.
const farAway = 12 * time.Hour

func (w *world) closeWindow() error { return w.openWindow(farAway) }

// startService starts a classifier process on the shared socket. With watch, the process loads the release to which
// the link `current` points whenever the link changes.
func (w *world) startService(ctx context.Context, watch bool) (*child, error) {
	f, err := w.socket.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return startChild(ctx, "classifier", filepath.Join(w.dir, "classifier.log"), "msg=serving", []*os.File{f},
		w.self, "serve-classifier", "--listen", "fd:3", "--model", filepath.Join(w.state(), "models", modelName, "current"),
		fmt.Sprintf("--watch=%t", watch))
}

// exchangeService replaces the classifier process without a failed request. For a short time both processes accept
// connections from one socket.
func (w *world) exchangeService(ctx context.Context, watch bool) error {
	next, err := w.startService(ctx, watch)
	if err != nil {
		return err
	}
	old := w.service
	w.service = next
	return old.stop()
}

// startClients starts the clients of the classifier.
func (w *world) startClients() {
	ctx, stop := context.WithCancel(context.Background())
	clients := &asker{url: "http://" + w.address + "/classify", items: w.story.items}
	w.asker.Store(clients)
	done := make(chan struct{})
	go func() { defer close(done); clients.run(ctx) }()
	w.stopAsk = func() { stop(); <-done }
}

// output runs this program and returns its output.
func (w *world) output(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, w.self, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("retraind %s: %w: %s", args[0], err, stderr.String())
	}
	return string(out), nil
}

// close stops everything, the clients first.
func (w *world) close() error {
	var errs []error
	if w.stopAsk != nil {
		w.stopAsk()
	}
	if w.listener != nil {
		w.listener.close()
	}
	for _, c := range []*child{w.daemon, w.service} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	if w.client != nil {
		w.client.Close()
	}
	if w.socket != nil {
		errs = append(errs, w.socket.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.close())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// freePorts finds unused loopback addresses.
func freePorts(n int) ([]string, error) {
	var out []string
	var open []net.Listener
	defer func() {
		for _, l := range open {
			l.Close()
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		open = append(open, l)
		out = append(out, l.Addr().String())
	}
	return out, nil
}
