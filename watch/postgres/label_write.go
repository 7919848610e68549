package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/watch"
)

// Write describes how values are written into rows of a watched table: by an SQL statement that the operator
// configures, with named parameters such as @id. The statement runs over a separate connection, because the role that
// watches the table has no right to write.
type Write struct {
	DSNFile   string
	Statement string
	Origin    string // of the changes; see watch.OriginOf
}

// Values are the parameters for one row, by name; nil is NULL. The parameter id is the row's key.
type Values struct {
	ID   string
	With map[string]any
}

// Written counts the rows of a write.
type Written struct {
	Rows  int `json:"rows"`
	Taken int `json:"taken,omitempty"` // skipped: free returned false, or the row is locked or deleted
	None  int `json:"none,omitempty"`  // the statement changed no row
}

// writeBatch is the number of rows that one transaction writes.
const writeBatch = 200

// CheckStatement finds errors in a statement with the given parameter names, without asking the server.
func CheckStatement(statement string, names []string) error {
	args := pgx.NamedArgs{}
	for _, name := range names {
		args[name] = name
	}
	_, used, err := args.RewriteQuery(context.Background(), nil, statement, nil)
	all := "@" + strings.Join(names, ", @")
	switch {
	case strings.TrimSpace(statement) == "":
		return errors.New("it is empty")
	case err != nil:
		return err
	case slices.Contains(used, nil):
		return fmt.Errorf("it names a parameter that is none of %s", all)
	case !slices.Contains(used, any("id")):
		return errors.New("it does not use @id, so it would write the same values into every row")
	case len(used) == 1:
		return fmt.Errorf("it writes no label: the parameters are %s", all)
	}
	return nil
}

// WriteRows writes values into rows, 200 in each transaction. It first locks and reads each row, and writes it only if
// `free` returns true for the row's current values. It skips a row that another session has locked. After a crash the
// caller repeats the call: `free` must return false for the rows that are already written.
func WriteRows(
	ctx context.Context, model string, cfg *Config, w Write, rows []Values, free func(watch.Item) bool,
) (out Written, err error) {
	to := *cfg
	to.DSN, to.DSNFile = "", w.DSNFile
	schema, err := newSchema(model, &to)
	if err != nil {
		return out, err
	}
	conn, err := dial(ctx, &to)
	if err != nil {
		return out, err
	}
	defer closeQuietly(conn)
	err = guardQueries(ctx, &to, conn, func(ctx context.Context) error {
		if err := schema.learnPadding(ctx, conn); err != nil {
			return err
		}
		for batch := range slices.Chunk(rows, writeBatch) {
			now, err := schema.writeBatch(ctx, conn, w, batch, free)
			if err != nil {
				return err
			}
			out.Rows, out.Taken, out.None = out.Rows+now.Rows, out.Taken+now.Taken, out.None+now.None
		}
		return nil
	})
	return out, w.explain(&to, err)
}

func (s *schema) writeBatch(
	ctx context.Context, conn *pgx.Conn, w Write, batch []Values, free func(watch.Item) bool,
) (out Written, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return out, err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after a commit there is nothing to roll back
	if err := s.markOrigin(ctx, tx, w.Origin); err != nil {
		return out, err
	}
	open, err := s.lockFree(ctx, tx, batch, free)
	if err != nil {
		return out, err
	}
	for _, row := range batch {
		if !open[row.ID] {
			out.Taken++
			continue
		}
		args := pgx.NamedArgs{"id": row.ID, "origin": w.Origin}
		for name, v := range row.With {
			args[name] = v
		}
		tag, err := tx.Exec(ctx, w.Statement, pgx.QueryExecModeDescribeExec, args)
		switch n := tag.RowsAffected(); {
		case err != nil:
			return out, fmt.Errorf("row %s: %w", row.ID, err)
		case n > 1:
			return out, fmt.Errorf("row %s: the statement writes %d rows; it must write only the row with the key @id (this transaction was rolled back)",
				row.ID, n)
		case n == 0:
			out.None++
		default:
			out.Rows++
		}
	}
	return out, tx.Commit(ctx)
}

// markOrigin marks a transaction's changes so that the captures outbox and logical report them with the given origin.
// PostgreSQL 13 does not stream the mark to capture logical. Capture poll reports the origin only if the statement
// writes it into the author column.
func (s *schema) markOrigin(ctx context.Context, tx pgx.Tx, origin string) error {
	if err := setSession(ctx, tx.Conn(), true); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "SELECT pg_catalog.set_config('retraind.origin', $1::text, true), pg_catalog.set_config('application_name', $1::text, true)",
		origin)
	if err == nil && s.cfg.capture() == CaptureLogical {
		_, err = tx.Exec(ctx, "SELECT pg_catalog.pg_logical_emit_message(true, 'retraind.origin', $1::text)", origin)
	}
	return err
}

// lockFree locks those rows of a batch that no other session has locked, and returns for each the result of `free`.
func (s *schema) lockFree(
	ctx context.Context, tx pgx.Tx, batch []Values, free func(watch.Item) bool,
) (map[string]bool, error) {
	ids := make([]string, 0, len(batch))
	for _, row := range batch {
		ids = append(ids, row.ID)
	}
	rows, err := tx.Query(ctx, s.tableQuery()+" WHERE "+s.key("r")+" = ANY ($1::text[]) FOR UPDATE OF r SKIP LOCKED", ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	open := map[string]bool{}
	for rows.Next() {
		item, err := s.item(rows.RawValues())
		if err != nil {
			return nil, err
		}
		open[item.ID] = free(item)
	}
	return open, rows.Err()
}

// explain turns an error of a write into a Fault. If the role lacks the right to write, the Fault says which rights it
// needs.
func (w Write) explain(cfg *Config, err error) error {
	var server *pgconn.PgError
	if errors.As(err, &server) && (server.Code == "42501" || server.Code == "25006") {
		return &watch.Fault{
			Key: "dsn_file", Err: err, Permanent: true,
			Cause: fmt.Sprintf("the statement cannot be run by the user of %s: %s", w.DSNFile, server.Message),
			Cure:  "name the connection of a role that may select and update the table; the role that watches the table can only read",
		}
	}
	return explain(cfg, err)
}
