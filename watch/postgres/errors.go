package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/watch"
)

// permanentClasses are SQLSTATEs, or their first two digits, of errors that waiting does not fix.
var permanentClasses = []string{"28", "3D000", "3F000", "42", "0A000"}

// sinkError is an error of the sink, and not of PostgreSQL.
type sinkError struct {
	doing string
	err   error
}

func (e *sinkError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// explain turns an error of a connection or query into a Fault. It returns a Fault, context.Canceled and an error of the
// sink unchanged.
func explain(cfg *Config, err error) error {
	var fault *watch.Fault
	if err == nil || errors.As(err, &fault) || errors.Is(err, context.Canceled) ||
		errors.As(err, new(*sinkError)) {
		return err
	}
	where := "PostgreSQL"
	user, database := "", ""
	if dsn, readErr := cfg.connString(); readErr == nil {
		if c, parseErr := pgx.ParseConfig(dsn); parseErr == nil {
			where = fmt.Sprintf("PostgreSQL at %s", address(c))
			user, database = c.User, cmp.Or(c.Database, c.User) // the server's default for the database
		}
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		fault = &watch.Fault{Key: cfg.dsnKey(), Err: err}
		for _, class := range permanentClasses {
			fault.Permanent = fault.Permanent || strings.HasPrefix(server.Code, class)
		}
		switch server.Code {
		case "28P01":
			fault.Cause = fmt.Sprintf("%s refused the password of user %q", where, user)
			fault.Cure = "correct it in " + cfg.dsnPlace()
		case "28000":
			fault.Cause = fmt.Sprintf("%s refused user %q: %s", where, user, server.Message)
			fault.Cure = "correct the user in " + cfg.dsnPlace() + " or allow it in pg_hba.conf"
			if strings.Contains(server.Message, "does not exist") {
				fault.Cure = "correct the user in " + cfg.dsnPlace() +
					", or run the SQL of retraind init, which creates the role retraind"
			}
		case "3D000":
			fault.Cause = fmt.Sprintf("%s has no database %q", where, database)
			fault.Cure = "correct its name in " + cfg.dsnPlace()
		case "42501":
			if server.File == "rls.c" { // of PostgreSQL's source, because messages may be translated
				fault.Key, fault.Cause = "table",
					fmt.Sprintf("row security hides rows of table %s from user %q: %s", cfg.Table, user, server.Message)
				fault.Cure = rowSecurityCure(user)
				break
			}
			fault.Key, fault.Cause = "table", fmt.Sprintf("user %q lacks a right that retraind needs: %s", user, server.Message)
			fault.Cure = grantHint(user)
		case "42P01", "3F000":
			fault.Key, fault.Cause = "table", fmt.Sprintf("database %q lacks a table: %s", database, server.Message)
			fault.Cure = "correct labels.postgres.table, or run the SQL of retraind init"
		case "42703":
			fault.Key, fault.Cause = "table", fmt.Sprintf("table %s lacks a column: %s", cfg.Table, server.Message)
			fault.Cure = "correct the column names under labels.postgres"
		case "42704", "55000": // a publication or slot that is missing or invalidated
			fault.Cause = fmt.Sprintf("%s: %s", where, server.Message)
			if cfg.capture() == CaptureLogical {
				fault.Cure = "run what `retraind init sql` prints, as the table's owner; retraind then reads the whole table again"
			}
			if server.File == "xlogfuncs.c" { // of PostgreSQL's source: identityColumns failed
				fault.Cause = where + " is a standby"
				fault.Cure = "name the primary, or all hosts with target_session_attrs=read-write"
			}
		case "25006":
			fault.Cause = where + " is a standby, which cannot LISTEN"
			fault.Cure = "name the primary, or all hosts with target_session_attrs=read-write"
		case "53300":
			fault.Cause = where + " has no free connection"
			fault.Cure = "raise max_connections or the role's connection limit"
		case "57P01", "57P02", "57P03":
			fault.Cause = where + " is stopping or starting"
		default:
			fault.Cause = fmt.Sprintf("%s: %s (SQLSTATE %s)", where, server.Message, server.Code)
		}
		return fault
	}
	var parse *pgconn.ParseConfigError
	var network *net.OpError
	var name *net.DNSError
	fault = &watch.Fault{Key: cfg.dsnKey(), Err: err}
	switch {
	case errors.As(err, &parse):
		fault.Cause, fault.Cure, fault.Permanent = "not a connection string: "+watch.OneLine(err), "correct "+cfg.dsnPlace(),
			true
	case errors.Is(err, fs.ErrNotExist) && cfg.DSNFile != "" && where == "PostgreSQL":
		fault.Cause, fault.Cure, fault.Permanent = fmt.Sprintf("dsn_file %s does not exist",
			cfg.DSNFile), "write the connection string into it", true
	case errors.Is(err, fs.ErrPermission) && cfg.DSNFile != "" && where == "PostgreSQL":
		fault.Cause = fmt.Sprintf("no permission to read dsn_file %s", cfg.DSNFile)
		fault.Cure = fmt.Sprintf("make it readable for the user that runs retraind: chown retraind: %s and chmod 0600 %[1]s, "+
			"or pass it with LoadCredential= and name it without a directory", cfg.DSNFile)
		fault.Permanent = true
	case errors.Is(err, context.DeadlineExceeded):
		fault.Cause, fault.Cure = where+" does not answer", "is the server running and reachable?"
	case errors.As(err, &name) && name.IsNotFound:
		fault.Cause = fmt.Sprintf("cannot reach %s: no host has the name %s", where, name.Name)
		fault.Cure = "correct it in " + cfg.dsnPlace() + ", or check the name service"
	case errors.As(err, &network):
		fault.Cause, fault.Cure = fmt.Sprintf("cannot reach %s: %s", where, network.Err), "is the server running?"
	default:
		fault.Cause = where + ": " + watch.OneLine(err)
	}
	return fault
}

// dsnKey returns the configuration key that contains the connection string or the path of its file.
func (c *Config) dsnKey() string {
	if c.DSNFile != "" {
		return "dsn_file"
	}
	return "dsn"
}

// dsnPlace returns where the connection string is written: the path of its file, or the configuration key.
func (c *Config) dsnPlace() string {
	if c.DSNFile != "" {
		return c.DSNFile
	}
	return "labels.postgres.dsn"
}

// rowSecurityCure explains how to let a user see all rows.
func rowSecurityCure(user string) string {
	return fmt.Sprintf("as a superuser: ALTER ROLE %s BYPASSRLS; a policy that shows the role only some rows is not enough, because retraind would treat the hidden rows as deleted",
		ident(user))
}

// grantHint explains how to give a user the rights that retraind needs.
func grantHint(user string) string {
	return fmt.Sprintf("run what `retraind init sql --role %s` prints, as the table's owner", user)
}

// address lists the servers of a connection string, each once.
func address(c *pgx.ConnConfig) string {
	var names []string
	for _, host := range append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}, c.Fallbacks...) {
		name := host.Host
		if !strings.HasPrefix(name, "/") {
			name = net.JoinHostPort(host.Host, fmt.Sprint(host.Port))
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}
