// Package pgtest starts a real PostgreSQL for tests: a private cluster that the tests of a binary share, with a
// database for each test. Decodable starts a second shared cluster, and Cluster one for a single test.
//
// A shared cluster is started at its first use and stopped by Main. The functions may be called from parallel tests.
// The package is never linked into the program and never connects to a server that it did not start.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/pgcluster"
)

// decoded is a second shared cluster, with logical decoding.
var decoded struct {
	once    sync.Once
	cluster *pgcluster.Cluster
	err     error
}

// shared is the test binary's cluster, shared by its tests.
var shared struct {
	once      sync.Once
	cluster   *pgcluster.Cluster
	err       error
	mu        sync.Mutex // guards the fields below, and CREATE DATABASE, which refuses a template in use
	databases int
	templates map[string]string // SQL -> name of the database in which it was run
}

// Main runs the tests and stops the shared clusters: func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }.
func Main(m *testing.M) int {
	code := m.Run()
	for _, cluster := range []*pgcluster.Cluster{shared.cluster, decoded.cluster} {
		if cluster == nil {
			continue
		}
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = max(code, 1)
		}
	}
	return code
}

// Cluster starts a cluster for this test alone, for tests that kill or restart it.
func Cluster(t testing.TB, options pgcluster.Options) *pgcluster.Cluster {
	t.Helper()
	cluster, err := pgcluster.Start(context.Background(), options)
	require(t, err)
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// Database creates a database on the shared cluster, runs the SQL texts in it and returns its connection string. The
// same texts are run only once, in a template database that is then copied.
func Database(t testing.TB, sql ...string) string {
	t.Helper()
	shared.once.Do(func() { shared.cluster, shared.err = pgcluster.Start(context.Background(), pgcluster.Options{}) })
	require(t, shared.err)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	template := "template1"
	if len(sql) > 0 {
		key := fmt.Sprint(sql)
		if shared.templates[key] == "" {
			name := create(t, template)
			run(t, shared.cluster.DSN(name), sql...)
			if shared.templates == nil {
				shared.templates = map[string]string{}
			}
			shared.templates[key] = name
		}
		template = shared.templates[key]
	}
	return shared.cluster.DSN(create(t, template))
}

// Logical returns the settings of a cluster on which many tests can use logical decoding at once.
func Logical() map[string]string {
	return map[string]string{
		"wal_level": "logical", "max_replication_slots": "200", "max_wal_senders": "60",
		"max_connections": "200",
	}
}

// Decodable returns a cluster with logical decoding that the tests of a binary share. Tests create their databases
// themselves. A test with open transactions delays the others' creation of replication slots.
func Decodable(t testing.TB) *pgcluster.Cluster {
	t.Helper()
	decoded.once.Do(func() {
		decoded.cluster, decoded.err = pgcluster.Start(context.Background(), pgcluster.Options{Settings: Logical()})
	})
	require(t, decoded.err)
	return decoded.cluster
}

// Shared returns the shared cluster, for tests that use its other roles or databases. Database must have been called
// before.
func Shared() *pgcluster.Cluster { return shared.cluster }

// create copies template into a new database; shared.mu is held.
func create(t testing.TB, template string) string {
	t.Helper()
	shared.databases++
	name := fmt.Sprintf("test_%d", shared.databases)
	run(t, shared.cluster.DSN("postgres"), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, template))
	return name
}

// run executes SQL texts on a new connection.
func run(t testing.TB, dsn string, sql ...string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range sql {
		if _, err = conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
			break
		}
	}
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		t.Fatal(err)
	}
}

// require skips the test if PostgreSQL is not installed, except in CI. On any other error the test fails.
func require(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, pgcluster.ErrNoBinaries) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}
