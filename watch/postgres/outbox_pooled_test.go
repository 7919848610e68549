package postgres

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/pgcluster"
	"github.com/retraind/retraind/internal/pgtest"
)

// poolers start a pooler in front of the server, and return the host to connect to.
var poolers = map[string]func(t *testing.T, dsn, mode string) string{
	"fake": func(t *testing.T, dsn, mode string) string {
		if mode == "session" {
			t.Skip("it knows one mode")
		}
		s := &switcher{back: socket(hostOf(dsn))}
		return listenIn(t, s.serve)
	},
	"pgbouncer": pgbouncer,
}

// pgbouncer starts the real PgBouncer, if it is installed.
func pgbouncer(t *testing.T, dsn, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("pgbouncer is not installed (apt-get install pgbouncer)")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	// PgBouncer refuses to run as root, so another user must be able to enter the directory.
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	ini := fmt.Sprintf("[databases]\n* = host=%s user=postgres\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = %s\nlisten_port = 5432\nauth_type = any\npool_mode = %s\ndefault_pool_size = 4\nserver_check_delay = 0\n",
		hostOf(dsn), dir, mode)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{file}
	if os.Geteuid() == 0 {
		args = append([]string{"-u", ownerOf(t, hostOf(dsn))}, args...)
	}
	cmd := exec.Command(program, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	deadline := time.After(10 * time.Second)
	for {
		conn, err := net.Dial("unix", socket(dir))
		if err == nil {
			_ = conn.Close()
			return dir
		}
		select {
		case <-deadline:
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("pgbouncer: %v\n%s", err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ownerOf returns the user who may access a cluster's directory.
func ownerOf(t *testing.T, dir string) string {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := user.LookupId(fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid))
	if err != nil {
		t.Fatal(err)
	}
	return owner.Username
}

// TestPoolers: behind a pooler in transaction mode the outbox is polled, and Health reports it. A pooler in session
// mode makes no difference.
func TestPoolers(t *testing.T) {
	t.Parallel()
	for name, start := range poolers {
		for _, mode := range []string{"transaction", "session"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				b := setup(t, itemsSQL, quiet)
				b.exec(`INSERT INTO items (id, title, category) SELECT g, 't', 'c' FROM generate_series(1, 40) g`)
				direct := *b.cfg
				b.cfg.DSN = through(direct.DSN, start(t, direct.DSN, mode))
				source, _ := b.start()
				b.ready()
				b.sink.until(t, "health", func() bool { return source.Health().Up })
				if told := strings.Contains(source.Health().Notice, "pooler in transaction mode"); told != (mode == "transaction") {
					t.Errorf("health %+v", source.Health())
				}
				stop := make(chan struct{})
				writers := write(t, direct.DSN, 2, 60, stop)
				writers.Wait()
				b.sink.equalsTable(t, "m", &direct)
				if b.sink.full != 1 {
					t.Errorf("the whole table was read %d times", b.sink.full)
				}
				b.exec(`TRUNCATE items`)
				b.sink.equalsTable(t, "m", &direct)
				if mode == "transaction" {
					// No session state stays in the pool.
					n := b.count(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
					if n > 0 {
						t.Errorf("%d locks were left with the pooler's server processes", n)
					}
				}
			})
		}
	}
}

// TestSeveralHosts: the connection goes to the host that accepts writes.
func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	b := setup(t, itemsSQL, itemsConfig)
	dead := t.TempDir()
	readOnly := pgtest.Cluster(t, pgcluster.Options{Settings: map[string]string{"default_transaction_read_only": "on"}})
	database := b.conn.Config().Database
	admin := connect(t, readOnly.DSN("postgres"))
	for _, sql := range []string{`SET default_transaction_read_only = off`, `CREATE DATABASE ` + database} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	b.cfg.DSN = through(b.cfg.DSN,
		dead+","+readOnly.Dir()+","+hostOf(b.cfg.DSN)) + " target_session_attrs=read-write connect_timeout=2"
	b.start()
	b.ready()
	b.exec(`INSERT INTO items (id, category) VALUES (1, 'x')`)
	b.sink.until(t, "the change", func() bool { return len(b.sink.changes) == 1 })

	other := t.TempDir()
	b.cfg.DSN = through(b.cfg.DSN, dead+","+other)
	err := (&Source{cfg: b.cfg, schema: &schema{}}).probe(t.Context())
	if err == nil || !strings.Contains(err.Error(), dead+" or "+other) {
		t.Errorf("the message does not name the hosts: %v", err)
	}
}
