// Package pgcluster starts a private PostgreSQL server for the demo and for tests.
//
// Each Cluster has a temporary directory with its data and a Unix socket. Its server is a direct child of this process
// and ends with it. A Cluster's methods may be called from any goroutine, one at a time. The server listens on no TCP
// port unless Settings configure one. The package never touches a server that it did not start, and never sends SQL.
package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Superuser is the role that initdb creates; it needs no password on the private socket unless Passwords is set.
const Superuser = "postgres"

// Options configure a Cluster. The zero value is good for tests.
type Options struct {
	// Fsync makes the data survive a power failure. Without it they still survive kill -9, which is enough for tests and
	// the demo.
	Fsync bool
	// Passwords requires a password (scram-sha-256) instead of trusting everybody on the socket; the superuser's
	// is then "postgres".
	Passwords bool
	// Settings are added to postgresql.conf, e.g. {"wal_level": "logical"}.
	Settings map[string]string
	// Environment is added to the server's environment, e.g. "LOCPATH=/…" for locales that the machine does not have.
	Environment []string
}

// Cluster is a running private server.
type Cluster struct {
	options Options
	bin     string
	dir     string // contains data/, the socket and log
	owner   *syscall.Credential

	mu     sync.Mutex
	server *process // nil while it is down
}

// Start creates a cluster and returns when it accepts connections. The caller must stop it.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverOwner()
	if err != nil {
		return nil, err
	}
	dir, err := shortTempDir(owner)
	if err != nil {
		return nil, fmt.Errorf("start postgresql: %w", err)
	}
	c := &Cluster{options: options, bin: bin, dir: dir, owner: owner}
	if err := c.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start postgresql: %w", err), os.RemoveAll(dir))
	}
	if err := c.Restart(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

// create runs initdb and writes the settings.
func (c *Cluster) create(ctx context.Context) error {
	if c.owner != nil {
		if err := os.Chown(c.dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return err
		}
	}
	args := []string{"-D", c.data(), "-U", Superuser, "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C"}
	if c.options.Passwords {
		secret := filepath.Join(c.dir, "pw")
		if err := os.WriteFile(secret, []byte(Superuser+"\n"), 0o644); err != nil {
			return err
		}
		args = append(args, "-A", "scram-sha-256", "--pwfile="+secret)
	}
	if err := c.command(ctx, "initdb", args...); err != nil {
		return err
	}
	return c.configure()
}

// configure appends to postgresql.conf. synchronous_commit stays on: without it acknowledged commits are lost at
// kill -9, which is the fault that tests inject.
func (c *Cluster) configure() error {
	settings := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": c.dir,
		"fsync":                   onOff(c.options.Fsync),
		"full_page_writes":        onOff(c.options.Fsync),
		"synchronous_commit":      "on",
		"shared_buffers":          "32MB",
		"max_connections":         "60",
		"max_wal_size":            "256MB",
		"timezone":                "UTC",
		"log_line_prefix":         "%m [%p] %q%d ",
	}
	for name, value := range c.options.Settings {
		settings[name] = value
	}
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	var text strings.Builder
	text.WriteString("\n# retraind's private cluster\n")
	for _, name := range names {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	f, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text.String())
	return errors.Join(err, f.Close())
}

// DSN returns the connection string of a database of this cluster, as its superuser.
func (c *Cluster) DSN(database string) string {
	dsn := fmt.Sprintf("host=%s user=%s dbname=%s", c.dir, Superuser, quoteDSN(database))
	if c.options.Passwords {
		dsn += " password=" + Superuser
	}
	return dsn
}

// Dir returns the cluster's directory, in which its socket is.
func (c *Cluster) Dir() string { return c.dir }

// Bin returns the directory of the server's binaries.
func (c *Cluster) Bin() string { return c.bin }

// Stop ends the server at once (open transactions are rolled back) and removes the cluster's directory.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.server != nil {
		// SIGINT is PostgreSQL's fast shutdown; without fsync it takes far less than ten seconds.
		err = c.server.end(syscall.SIGINT, 10*time.Second)
		c.server = nil
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// environment returns the environment of the server. It leaves out all variables of the caller, because the server
// would read some of them (PG*).
func (c *Cluster) environment() []string {
	own := []string{"PATH=" + c.bin + ":/usr/bin:/bin", "HOME=" + c.dir, "LC_ALL=C", "TZ=UTC"}
	return append(own, c.options.Environment...)
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// quoteDSN quotes a value for a keyword=value connection string.
func quoteDSN(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}
