package postgres

import (
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/unit"
)

// quiet makes the poll so rare that a change can arrive in time only by a notification or by the polling for writers
// that did not notify.
func quiet(dsn string) *Config {
	cfg := itemsConfig(dsn)
	cfg.Poll = unit.Duration(time.Hour)
	return cfg
}

// sleeping waits until the source holds the advisory lock and its connection waits.
func (b *bundle) sleeping() {
	b.t.Helper()
	b.sink.until(b.t, "the source to sleep", func() bool {
		var asleep bool
		err := b.conn.QueryRow(b.t.Context(),
			`SELECT count(*) = 1 AND bool_and(state = 'idle' AND now() - state_change > '50ms'
			AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.pid = a.pid))
			FROM pg_stat_activity a WHERE application_name = 'retraind' AND datname = current_database()`).Scan(&asleep)
		if err != nil {
			b.t.Fatal(err)
		}
		return asleep
	})
}

func TestARingWakesTheSleeper(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, quiet)
	b.start()
	b.ready()
	for i := range 5 {
		b.sleeping()
		start := time.Now()
		b.exec(`INSERT INTO items (id, category) VALUES ($1, 'x')`, i)
		b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == i+1 })
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

// TestNobodyRingsWhileItIsAwake counts the notifications that another listener receives. There must be few, because
// commits with NOTIFY queue for a lock.
func TestNobodyRingsWhileItIsAwake(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, quiet)
	b.start()
	b.ready()
	b.sleeping()
	ear := connect(t, b.cfg.DSN)
	if _, err := ear.Exec(t.Context(), `LISTEN retraind_m`); err != nil {
		t.Fatal(err)
	}
	// One after the other, each as soon as the last has arrived: the listener has no time to become idle.
	const changes = 100
	for i := range changes {
		b.exec(`INSERT INTO items (id, category) VALUES ($1, 'x')`, i)
		b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == i+1 })
	}
	heard := 0
	for {
		wait, cancel := timeout(t, 50*time.Millisecond)
		_, err := ear.WaitForNotification(wait)
		cancel()
		if err != nil {
			break
		}
		heard++
	}
	if heard == 0 || heard > changes/2 {
		t.Errorf("%d rings for %d changes", heard, changes)
	}
}

// TestWritersThatCouldNotRing covers rows without a notification.
func TestWritersThatCouldNotRing(t *testing.T) {
	t.Parallel()
	insert := func(t *testing.T, tx pgx.Tx, id int) {
		t.Helper()
		if _, err := tx.Exec(t.Context(), `INSERT INTO items (id, category) VALUES ($1, 'x')`, id); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(t *testing.T, b *bundle) pgx.Tx {
		t.Helper()
		tx, err := connect(t, b.cfg.DSN).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	commit := func(t *testing.T, tx pgx.Tx) {
		t.Helper()
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("the listener was awake and sleeps at the commit", func(t *testing.T) {
		t.Parallel()
		b := setup(t, itemsSQL, quiet)
		b.start()
		b.ready()
		b.sleeping()
		// The first commit wakes the reader, so that the slow writer mostly finds the lock free and does not notify.
		slow := begin(t, b)
		b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
		b.sink.until(t, "the first change", func() bool { return len(b.sink.changes) == 1 })
		insert(t, slow, 2)
		<-time.After(300 * time.Millisecond)
		commit(t, slow)
		b.sink.until(t, "the slow change", func() bool { return len(b.sink.changes) == 2 })
	})
	t.Run("another writer rings first and commits last", func(t *testing.T) {
		t.Parallel()
		b := setup(t, itemsSQL, quiet)
		b.start()
		b.ready()
		b.sleeping()
		ringer, free := begin(t, b), begin(t, b)
		insert(t, ringer, 1)
		insert(t, free, 2)
		commit(t, free)
		commit(t, ringer)
		b.sink.until(t, "both changes", func() bool { return len(b.sink.changes) == 2 })
	})
	t.Run("somebody else holds the lock", func(t *testing.T) {
		t.Parallel()
		b := setup(t, itemsSQL, quiet)
		other := connect(t, b.cfg.DSN)
		if _, err := other.Exec(t.Context(), `SELECT pg_advisory_lock($1, $2)`, lockClass, lockObject("m")); err != nil {
			t.Fatal(err)
		}
		b.start()
		b.ready()
		b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
		b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 1 })
		if _, err := other.Exec(t.Context(), `SELECT pg_advisory_unlock($1, $2)`, lockClass, lockObject("m")); err != nil {
			t.Fatal(err)
		}
		b.sleeping()
		b.exec(`INSERT INTO items (id, category) VALUES (2, 'x')`)
		b.sink.until(t, "the ring", func() bool { return len(b.sink.changes) == 2 })
	})
}

func TestPollFindsWhatNobodyAnnounced(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, func(dsn string) *Config {
		cfg := itemsConfig(dsn)
		cfg.Poll = unit.Duration(200 * time.Millisecond)
		return cfg
	})
	b.start()
	b.ready()
	b.sleeping()
	b.exec(`INSERT INTO retraind.m_outbox (op, item, old) VALUES ('delete', '1', '{}')`) // without a notification
	b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 1 })
}

// TestForeignNotifications: every user who may connect can notify, with any payload.
func TestForeignNotifications(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, quiet)
	b.start()
	b.ready()
	for _, payload := range []string{"", "1; DROP TABLE items", "{\"op\":\"delete\"}", "\x1b[31m\nfake log line"} {
		b.exec(`SELECT pg_notify('retraind_m', $1)`, payload)
	}
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 1 })
	b.sink.equalsTable(t, "m", b.cfg)
}

// TestAFloodOfRings: a hundred thousand notifications are coalesced into one, and none is kept. It is not parallel,
// because all tests share the heap.
func TestAFloodOfRings(t *testing.T) {
	b := setup(t, itemsSQL, quiet)
	b.start()
	b.ready()
	b.sleeping()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	b.exec(`SELECT count(pg_notify('retraind_m', g || repeat('x', 1000))) FROM generate_series(1, 100000) AS g`)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 1 })
	b.sleeping()
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	b.sink.equalsTable(t, "m", b.cfg)
}

// TestLowerTransactionIDWritesLater: the transaction that began first waits for the row lock of the second.
func TestLowerTransactionIDWritesLater(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, quiet)
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'start'), (2, 'start')`)
	b.start()
	b.ready()
	first, second, third := connect(t, b.cfg.DSN), connect(t, b.cfg.DSN), connect(t, b.cfg.DSN)
	run := func(conn *pgx.Conn, sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run(first, `BEGIN; SELECT pg_current_xact_id()`)
	run(third, `BEGIN; UPDATE items SET category = 'held' WHERE id = 2`) // stays open; its id is between the two others
	run(second, `UPDATE items SET category = 'earlier' WHERE id = 1`)
	run(first, `UPDATE items SET category = 'later' WHERE id = 1; COMMIT`)
	b.sink.until(t, "both changes", func() bool { return len(b.sink.changes) == 2 })
	if got := b.sink.snapshot()["1"].Labels["label"]; got != "later" {
		t.Errorf("the item ends as %q", got)
	}
	run(third, `COMMIT`)
	b.sink.equalsTable(t, "m", b.cfg)
}
