package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/internal/check"
)

// findPublication reports server settings and rights that prevent decoding the table's changes. It also reports
// settings that let the log fill the server's disk.
func (s *schema) findPublication(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	var level, keep string
	var slots, taken int
	var replicates bool
	err := conn.QueryRow(ctx, `SELECT current_setting('wal_level'), current_setting('max_slot_wal_keep_size'),
		current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> `+s.slot()+`),
		(SELECT rolsuper OR rolreplication OR EXISTS (SELECT FROM pg_roles g WHERE g.rolname IN ('rds_replication', 'cloudsqlreplica') AND pg_has_role(r.oid, g.oid, 'MEMBER'))
			FROM pg_roles r WHERE rolname = current_user)`).Scan(&level, &keep, &slots, &taken, &replicates)
	if err != nil {
		return err
	}
	if level != "logical" {
		found.Errorf("capture", "ALTER SYSTEM SET wal_level = logical, then restart the server; or use capture: outbox",
			"the server's wal_level is %s, capture: logical needs logical", level)
		return nil
	}
	if !replicates {
		found.Errorf("capture", fmt.Sprintf("run what `retraind init sql --role %s` prints, as a superuser: it contains ALTER ROLE … REPLICATION",
			conn.Config().User), "user %q lacks the REPLICATION attribute", conn.Config().User)
	}
	if taken >= slots {
		found.Errorf("capture", fmt.Sprintf("ALTER SYSTEM SET max_replication_slots = %d, then restart the server", taken+4),
			"all %d replication slots of the server are taken", slots)
	}
	if awaited, err := isStandby(ctx, conn); err != nil {
		return err
	} else if awaited {
		found.Errorf("capture", "write the names of the standbys into synchronous_standby_names, not *; or give retraind another application_name",
			"the server treats retraind as a synchronous standby (synchronous_standby_names): each commit would wait for it")
	}
	if keep == "-1" {
		found.Warnf("capture", "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(): after a longer downtime retraind reads the whole table again",
			"max_slot_wal_keep_size is -1: while retraind is down the server keeps all of its log, until its disk is full")
	}
	if err := s.findSlot(ctx, conn, found); err != nil {
		return err
	}
	if err := s.findReplicaIdentity(ctx, conn, found); err != nil {
		return err
	}
	return s.findPublished(ctx, conn, found)
}

// findSlot reports a replication slot that another program created under retraind's name, or that was invalidated. It
// does not report a missing slot, because the source creates it.
func (s *schema) findSlot(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	var name, plugin, database, status string
	err := conn.QueryRow(ctx, `SELECT slot_name::text, coalesce(plugin::text, 'none'), coalesce(database::text, 'none'), coalesce(wal_status, '') FROM pg_replication_slots WHERE slot_name = `+
		s.slot()).
		Scan(&name, &plugin, &database, &status)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case plugin != "pgoutput" || database != databaseOf(conn):
		found.Errorf("capture", fmt.Sprintf("SELECT pg_drop_replication_slot('%s')", name),
			"the replication slot %s is not retraind's own (plugin %s, database %s)", name, plugin, database)
	case status == "lost":
		found.Warnf("capture", "raise max_slot_wal_keep_size; retraind creates the slot again and reads the whole table again",
			"the replication slot %s was invalidated: the server has removed unread log", name)
	}
	return nil
}

// findReplicaIdentity reports a table that is unlogged, or whose log entries do not identify deleted rows and rows with
// changed keys.
func (s *schema) findReplicaIdentity(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	table := strings.Join(s.ident, ".")
	var logged, identified bool
	err := conn.QueryRow(ctx, `SELECT c.relpersistence = 'p', c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i
			WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary ELSE false END
			AND ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) @> $2::text[])
		FROM pg_class c WHERE c.oid = $1::text::regclass`, s.table, []string(s.cfg.ID)).Scan(&logged, &identified)
	switch {
	case err != nil:
		return err
	case !logged:
		found.Errorf("table", fmt.Sprintf("ALTER TABLE %s SET LOGGED, or use capture: outbox", s.table),
			"table %s is unlogged: the server's log holds no changes of it", table)
	case !identified:
		found.Errorf("id", fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY USING INDEX (a unique index on NOT NULL columns), or FULL",
			s.table), "the replica identity of table %s has no column %s", table, strings.Join(s.cfg.ID, ", "))
	}
	return nil
}

// findPublished reports a publication that is missing or incomplete.
func (s *schema) findPublished(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	var whole bool
	err := conn.QueryRow(ctx, "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AND pubviaroot FROM pg_publication WHERE pubname = $1",
		s.publication()).Scan(&whole)
	if errors.Is(err, pgx.ErrNoRows) {
		found.Errorf("capture", runInit, "there is no publication %s", s.publication())
		return nil
	}
	if err != nil {
		return err
	}
	// Before PostgreSQL 15 the view has no column list and no filter.
	var names, filter *string
	err = conn.QueryRow(ctx, "SELECT (to_jsonb(p) -> 'attnames')::text, to_jsonb(p) ->> 'rowfilter' FROM pg_publication_tables p WHERE pubname = $1 AND schemaname = $2 AND tablename = $3",
		s.publication(), s.ident[0], s.ident[1]).Scan(&names, &filter)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		found.Errorf("capture", runInit, "the publication %s does not contain the table %s", s.publication(),
			strings.Join(s.ident, "."))
		return nil
	case err != nil:
		return err
	case !whole || filter != nil:
		found.Errorf("capture", runInit, "the publication %s leaves out some of the changes", s.publication())
		return nil
	case names == nil:
		return nil
	}
	var published []string
	if err := json.Unmarshal([]byte(*names), &published); err != nil {
		return err
	}
	return s.findPublishedColumns(ctx, conn, published, found)
}

// findPublishedColumns reports columns that the configuration needs but the publication does not contain. Generated
// columns may be missing from it, because they are read from the table.
func (s *schema) findPublishedColumns(ctx context.Context, conn *pgx.Conn, published []string,
	found *check.Problems,
) error {
	rows, err := conn.Query(ctx, "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND attgenerated <> ''",
		s.table)
	if err != nil {
		return err
	}
	generated, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range s.readColumns() {
		if !slices.Contains(published, name) && !slices.Contains(generated, name) {
			found.Errorf("capture", runInit, "the publication %s leaves out the column %q", s.publication(), name)
		}
	}
	if slices.ContainsFunc(*found, func(p check.Problem) bool { return !p.Warning }) {
		return nil
	}
	columns := make([]string, 0, len(published)+len(generated))
	for _, name := range append(published, generated...) {
		columns = append(columns, ident(name))
	}
	_, err = conn.Prepare(ctx, "",
		fmt.Sprintf("SELECT %s FROM (SELECT %s FROM %s) AS r", s.ownLabels(), strings.Join(columns, ", "), s.table))
	var server *pgconn.PgError
	if errors.As(err, &server) {
		found.Errorf("capture", runInit, "the publication %s leaves out a column that a label's expression reads: %s",
			s.publication(), server.Message)
		return nil
	}
	return err
}
