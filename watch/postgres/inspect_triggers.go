package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// findTriggers reports triggers that are missing, disabled, or made for another configuration.
func (s *schema) findTriggers(ctx context.Context, conn *pgx.Conn, found *check.Problems) error {
	table := strings.Join(s.ident, ".")
	var installed bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'retraind' AND c.relname = $1)",
		s.model+"_outbox").Scan(&installed)
	if err != nil {
		return err
	}
	if !installed {
		found.Errorf("table", runInit, "database %q does not record label changes yet: it has no table retraind.%s_outbox",
			databaseOf(conn), s.model)
		return nil
	}
	wanted := events
	if s.cfg.Author != "" {
		wanted = append([]string{"author"}, events...)
	}
	var missing, disabled, demoted []string
	for _, event := range wanted {
		var enabled string
		err := conn.QueryRow(ctx, "SELECT tgenabled::text FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname = $2",
			s.table, "retraind_"+s.model+"_"+event).Scan(&enabled)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			missing = append(missing, event)
		case err != nil:
			return err
		case enabled != "O" && enabled != "A":
			disabled = append(disabled, event)
		case enabled == "O":
			demoted = append(demoted, event)
		}
	}
	if len(missing) > 0 {
		found.Errorf("table", runInit, "table %s has no trigger of retraind for %s", table, strings.Join(missing, ", "))
		return nil
	}
	if len(disabled) > 0 {
		found.Errorf("table", fmt.Sprintf("ALTER TABLE %s %s", s.table, s.enableAlways(disabled)),
			"retraind's triggers on table %s are disabled for %s", table, strings.Join(disabled, ", "))
		return nil
	}
	if len(demoted) > 0 {
		found.Warnf("table", fmt.Sprintf("ALTER TABLE %s %s; retraind then reads the whole table again", s.table,
			s.enableAlways(demoted)),
			"retraind's triggers on table %s are no longer ENABLE ALWAYS for %s: writes under session_replication_role = replica, or by a subscription, are missed",
			table, strings.Join(demoted, ", "))
	}
	if err := may(ctx, conn, found,
		"SELECT has_schema_privilege('retraind', 'USAGE') AND has_table_privilege('retraind.sources', 'SELECT') AND has_table_privilege($1, 'SELECT')",
		"read the tables of the schema retraind", s.outbox()); err != nil || found.HasErrors() {
		return err
	}
	if err := s.findSettings(ctx, conn, found); err != nil || found.HasErrors() {
		return err
	}
	// The migration chose the kind of each trigger for the table as it was then. A BEFORE trigger or a subscription
	// that was added later requires another kind.
	var before string
	var subscribed bool
	err = conn.QueryRow(ctx, `SELECT coalesce((SELECT min(b.tgname) FROM pg_trigger AS b JOIN pg_trigger AS u ON u.tgrelid = b.tgrelid AND u.tgname = $2 AND u.tgattr::text <> ''
			WHERE b.tgrelid = $1::text::regclass AND NOT b.tgisinternal AND b.tgtype & 19 = 19), ''),
		EXISTS (SELECT FROM pg_subscription_rel JOIN pg_trigger ON tgrelid = srrelid AND tgname = $3 AND tgtype & 1 = 0 WHERE srrelid = $1::text::regclass)`,
		s.table, "retraind_"+s.model+"_update", "retraind_"+s.model+"_insert").Scan(&before, &subscribed)
	switch {
	case err != nil:
		return err
	case before != "":
		found.Errorf("table", "run again, as the table's owner, the SQL that retraind init wrote: the triggers then check every update",
			"table %s has a new BEFORE trigger, %s, which may change labels without being detected", table, before)
		return nil
	case subscribed:
		found.Errorf("table", "run again, as the table's owner, the SQL that retraind init wrote: it then installs row-level triggers",
			"table %s is now filled by a subscription, which statement-level triggers do not see", table)
		return nil
	}
	if s.cfg.notifies() {
		var prepared int
		if err := conn.QueryRow(ctx, "SELECT current_setting('max_prepared_transactions')::int").Scan(&prepared); err != nil {
			return err
		}
		if prepared > 0 {
			found.Warnf("notify", "if the application prepares transactions, set notify: false and run the SQL of `retraind init sql` again; otherwise set max_prepared_transactions = 0",
				"the server allows prepared transactions (max_prepared_transactions is %d): PREPARE TRANSACTION fails after a label change that wakes retraind",
				prepared)
		}
	}
	var definition string
	var bounds Outbox
	var size, age int64
	err = conn.QueryRow(ctx, "SELECT definition, max_rows, max_size, extract(epoch FROM max_age)::bigint FROM retraind.sources WHERE source = $1",
		s.model).Scan(&definition, &bounds.Rows, &size, &age)
	bounds.Size, bounds.Age = unit.Size(size), unit.Duration(time.Duration(age)*time.Second)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || err == nil && definition != s.definition():
		found.Errorf("table", runInit, "the triggers of table %s were installed for another configuration of model %s",
			table, s.model)
	case err != nil:
		return err
	case bounds != s.cfg.bounds():
		want := s.cfg.bounds()
		found.Warnf("outbox", runInit,
			"the outbox was installed with the bounds %d rows, %s and %s; the configuration has %d rows, %s and %s",
			bounds.Rows, bounds.Size, bounds.Age, want.Rows, want.Size, want.Age)
	}
	return nil
}

// enableAlways returns the actions of ALTER TABLE that enable the triggers of some events.
func (s *schema) enableAlways(events []string) string {
	actions := make([]string, len(events))
	for i, event := range events {
		actions[i] = "ENABLE ALWAYS TRIGGER " + s.trigger(event)
	}
	return strings.Join(actions, ", ")
}
