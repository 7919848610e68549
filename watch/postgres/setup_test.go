package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/watch"
)

var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	if task := os.Getenv(relayVariable); task != "" {
		os.Exit(relay(task))
	}
	os.Exit(pgtest.Main(m))
}

const itemsSQL = `CREATE TABLE public.items (id int PRIMARY KEY, title text, content text, category text, updated_at timestamptz DEFAULT now(), updated_by text, views int DEFAULT 0)`

// itemsConfig is the configuration of itemsSQL's table.
func itemsConfig(dsn string) *Config {
	return &Config{
		DSN: dsn, Table: "items", ID: unit.List{"id"}, Text: unit.List{"title", "content"}, Label: "category",
		Author: "updated_by", UpdatedAt: "updated_at",
	}
}

// memory is a Sink in memory, with the contents of the table as the daemon would have them.
type memory struct {
	mu        sync.Mutex
	items     map[string]watch.Item
	changes   []watch.Change
	keys      map[string]bool
	cursor    string
	full      int      // whole-table reads
	respelled int      // items whose key got another format
	faults    []string // calls that must never happen
	stall     func()   // called once, after the first row of a whole-table read
	changed   chan struct{}
}

func newMemory() *memory {
	return &memory{items: map[string]watch.Item{}, keys: map[string]bool{}, changed: make(chan struct{}, 1)}
}

func (m *memory) Cursor(context.Context, string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursor, nil
}

func (m *memory) Append(_ context.Context, _ string, changes []watch.Change, cursor string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if m.keys[c.Key] {
			m.faults = append(m.faults, "change "+c.Key+" came twice")
		}
		m.keys[c.Key] = true
		old, known := m.items[c.Item]
		if c.Old != nil && known && !same(c.Old, old.Labels) {
			m.faults = append(m.faults,
				fmt.Sprintf("change %s of item %s starts at %v, the item has %v", c.Key, c.Item, c.Old, old.Labels))
		}
		switch c.Op {
		case watch.OpDelete:
			delete(m.items, c.Item)
		case watch.OpPut:
			m.items[c.Item] = watch.Item{ID: c.Item, Text: c.Text, Labels: c.New}
		case watch.OpLabel:
			if old.ID, old.Labels = c.Item, c.New; known { // else it has been deleted, and its delete follows
				m.items[c.Item] = old
			}
		}
		m.changes = append(m.changes, c)
	}
	m.cursor = cursor
	m.tell()
	return nil
}

func (m *memory) Replace(_ context.Context, _ string, read watch.FullRead) error {
	fresh := map[string]watch.Item{}
	for it, err := range read.Items {
		if err != nil {
			return err
		}
		if m.stall != nil {
			m.stall()
			m.stall = nil
		}
		fresh[it.ID] = watch.Item{ID: it.ID, Text: it.Text, Labels: it.Labels}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := 0
	for id := range m.items {
		if _, there := fresh[id]; !there {
			gone++
		}
	}
	if float64(gone) > read.MaxGone*float64(len(m.items)) && gone >= 10 {
		return &watch.ShrinkError{Known: len(m.items), Gone: gone}
	}
	m.items, m.cursor = fresh, read.Cursor
	m.full++
	m.tell()
	return nil
}

func (m *memory) Respell(_ context.Context, _ string, spell func([]string) (map[string]string, error)) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	spelled, err := spell(slices.Collect(maps.Keys(m.items)))
	for from, to := range spelled {
		it := m.items[from]
		it.ID = to
		m.items[to] = it
		delete(m.items, from)
	}
	m.respelled += len(spelled)
	return len(spelled), err
}

func (m *memory) tell() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// snapshot copies the items.
func (m *memory) snapshot() map[string]watch.Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.items)
}

// fullReads returns the number of whole-table reads so far.
func (m *memory) fullReads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.full
}

func (m *memory) log() []watch.Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]watch.Change(nil), m.changes...)
}

// until waits until the sink satisfies a condition.
func (m *memory) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(waittest.Patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		m.mu.Lock()
		done := ok()
		m.mu.Unlock()
		if done {
			return
		}
		select {
		case <-m.changed:
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// equalsTable waits until the sink equals the table, and checks that no repeated or contradictory change arrived.
func (m *memory) equalsTable(t *testing.T, model string, cfg *Config) {
	t.Helper()
	want := map[string]watch.Item{}
	for it, err := range Export(t.Context(), model, cfg) {
		if err != nil {
			t.Fatal(err)
		}
		it.At = time.Time{}
		want[it.ID] = it
	}
	deadline := time.Now().Add(waittest.Patience)
	for {
		got := m.snapshot()
		if reflect.DeepEqual(want, got) { // takes a tenth of the time of cmp.Diff
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("capture %s: the sink is not the table (-table +sink):\n%.3000s", cfg.capture(), cmp.Diff(want, got))
		}
		select {
		case <-m.changed:
		case <-time.After(20 * time.Millisecond):
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, fault := range m.faults[:min(3, len(m.faults))] {
		t.Error(fault)
	}
}

// bundle is a watched database with its sink.
type bundle struct {
	t    *testing.T
	cfg  *Config
	sink *memory
	conn *pgx.Conn
}

// setup creates a table, installs the capture and connects as the application.
func setup(t *testing.T, tableSQL string, configure func(dsn string) *Config) *bundle {
	t.Helper()
	migration, err := Migration("m", configure("host=x"))
	if err != nil {
		t.Fatal(err)
	}
	dsn := pgtest.Database(t, tableSQL, migration)
	return &bundle{t: t, cfg: configure(dsn), sink: newMemory(), conn: connect(t, dsn)}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// start runs the source until the test ends or stop is called.
func (b *bundle) start() (source *Source, stop func()) {
	b.t.Helper()
	source, err := New("m", b.cfg, b.sink, nil, discard)
	if err != nil {
		b.t.Fatal(err)
	}
	return source, b.run(source)
}

// run follows until the test ends or stop is called.
func (b *bundle) run(source *Source) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			b.t.Errorf("Run ended with %v", err)
		}
	})
	b.t.Cleanup(func() {
		stop()
		if h := source.Health(); b.t.Failed() && !h.Up {
			b.t.Logf("the source is down: %s", h.Error)
		}
	})
	return stop
}

// ready waits for the first whole-table read.
func (b *bundle) ready() {
	b.t.Helper()
	b.sink.until(b.t, "the whole table", func() bool { return b.sink.full > 0 })
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.conn.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

// outbox returns the rows that the triggers wrote, in order.
func (b *bundle) outbox() []string { return b.outboxOf("m") }

func (b *bundle) outboxOf(model string) []string {
	b.t.Helper()
	rows, err := b.conn.Query(b.t.Context(),
		`SELECT concat_ws(' ', op, item, old::text, '->', new::text, CASE WHEN text_changed THEN 'text' END, 'by ' || `+
			authorOfRow+`, `+originOfRow+`) FROM `+ident("retraind", model+"_outbox")+` AS o ORDER BY xid, seq`)
	if err != nil {
		b.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return lines
}

func sorted(lines []string) []string {
	out := append([]string(nil), lines...)
	slices.Sort(out)
	return out
}

func timeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
