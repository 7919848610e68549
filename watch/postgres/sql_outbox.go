package postgres

import (
	"fmt"
	"time"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// Outbox bounds what the triggers store while retraind does not read. Beyond a bound the oldest rows are removed, and
// one row is written that makes the daemon read the whole table again. A zero field means its default.
type Outbox struct {
	// Rows is the approximate number of changes that are kept; default 1000000.
	Rows int64 `yaml:"rows"`
	// Size is how much disk space the outbox may use; default 1GiB.
	Size unit.Size `yaml:"size"`
	// Age is how long changes are kept; default 7d.
	Age unit.Duration `yaml:"age"`
}

// Default bounds of the outbox.
const (
	DefaultOutboxRows = 1_000_000
	DefaultOutboxSize = unit.Size(1 << 30)
	DefaultOutboxAge  = unit.Duration(7 * 24 * 3600 * 1e9)
)

// boundEvery is how many rows are written between two checks of the bounds; a statement over more rows checks once. A
// check that finds too much removes boundSlice of the oldest rows: usually more than were written since the last check,
// and few enough for the application's transaction that runs it.
const (
	boundEvery = 1024
	boundSlice = 8 * boundEvery
)

// bounds returns the outbox's limits.
func (c *Config) bounds() Outbox {
	o := c.Outbox
	if o.Rows == 0 {
		o.Rows = DefaultOutboxRows
	}
	if o.Size == 0 {
		o.Size = DefaultOutboxSize
	}
	if o.Age == 0 {
		o.Age = DefaultOutboxAge
	}
	o.Age = unit.Duration(o.Age.D().Truncate(time.Second)) // as it is installed
	return o
}

// validate reports bounds that are too small.
func (o Outbox) validate(found *check.Problems) {
	if o.Rows < 0 || o.Rows > 0 && o.Rows < 10*boundEvery {
		found.Errorf("outbox.rows", "write 1000000", "%d rows are fewer than %d", o.Rows, 10*boundEvery)
	}
	if o.Size < 0 || o.Size > 0 && o.Size < 16<<20 {
		found.Errorf("outbox.size", "write 1GiB", "%s is less than 16MiB", o.Size)
	}
	if o.Age < 0 || o.Age > 0 && o.Age.D() < keepReadRows {
		found.Errorf("outbox.age", "write 7d", "%s is shorter than the %s for which rows that were read are kept", o.Age,
			unit.Duration(keepReadRows))
	}
}

func (s *schema) outbox() string      { return ident("retraind", s.model+"_outbox") }
func (s *schema) outboxIndex() string { return ident(s.model + "_outbox_xid") }

// sequence returns the name that PostgreSQL gives the sequence of the outbox's seq column.
func (s *schema) sequence() string { return ident("retraind", s.model+"_outbox_seq_seq") }

// commonSQL creates what all watched tables of a database share.
const commonSQL = `CREATE SCHEMA IF NOT EXISTS retraind;

-- One row per watched table: what its triggers record, up to where its outbox was pruned, and its bounds.
CREATE TABLE IF NOT EXISTS retraind.sources (
  source     text PRIMARY KEY,
  definition text NOT NULL,
  pruned     xid8 NOT NULL DEFAULT '0',
  max_rows   bigint NOT NULL,
  max_size   bigint NOT NULL,
  max_age    interval NOT NULL
);

`

// outboxSQL returns the SQL that creates the model's outbox and the functions that bound its size. The sequence of
// seq must have no cache, because seq orders an item's changes across sessions. There is only one index, because each
// further index would slow down every writer.
func (s *schema) outboxSQL() string {
	return fmt.Sprintf(`-- One row per label change, written in the transaction that made it.
CREATE TABLE IF NOT EXISTS %[1]s (
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
  op           text NOT NULL,
  item         text,
  old          jsonb,
  new          jsonb,
  text_changed boolean NOT NULL DEFAULT false,
  author       text,
  origin       text,
  at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  who          text DEFAULT session_user,
  app          text DEFAULT current_setting('application_name')
);
CREATE INDEX IF NOT EXISTS %[2]s ON %[1]s (xid);

-- Removes rows that were read: those before the transaction and older than the instant, in small batches.
CREATE OR REPLACE FUNCTION %[3]s(before xid8, older timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
DECLARE
  gone bigint;
  last xid8;
BEGIN
  WITH d AS (
    DELETE FROM %[1]s WHERE ctid = ANY (ARRAY(
      SELECT o.ctid FROM %[1]s AS o WHERE o.xid < before AND o.at < older ORDER BY o.xid LIMIT %[5]d
    )) RETURNING xid
  ) SELECT count(*), max(d.xid::text::numeric)::text::xid8 INTO gone, last FROM d;
  IF gone > 0 THEN
    UPDATE retraind.sources AS s SET pruned = last WHERE s.source = %[4]s AND s.pruned < last;
  END IF;
  RETURN gone;
END $retraind$;
REVOKE ALL ON FUNCTION %[3]s(xid8, timestamptz) FROM PUBLIC;

-- Keeps the outbox within its bounds while it is not read. It neither waits nor locks, so that it does not delay
-- the writer in whose transaction this runs.
CREATE OR REPLACE FUNCTION %[6]s(newest bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $retraind$
DECLARE
  source retraind.sources;
  oldest %[1]s;
BEGIN
  SELECT * INTO source FROM retraind.sources AS s WHERE s.source = %[4]s;
  SELECT * INTO oldest FROM %[1]s AS o ORDER BY o.xid LIMIT 1;
  IF newest - oldest.seq > source.max_rows OR oldest.at < clock_timestamp() - source.max_age
    OR pg_table_size(%[7]s) > source.max_size THEN
    DELETE FROM %[1]s WHERE ctid = ANY (ARRAY(
      SELECT o.ctid FROM %[1]s AS o ORDER BY o.xid LIMIT %[8]d FOR UPDATE SKIP LOCKED
    ));
    INSERT INTO %[1]s (op, item) VALUES ('reread', 'the outbox was full, and its oldest rows were dropped');
  END IF;
EXCEPTION WHEN serialization_failure THEN
  NULL; -- another writer removes the same rows
END $retraind$;
REVOKE ALL ON FUNCTION %[6]s(bigint) FROM PUBLIC;
`, s.outbox(), s.outboxIndex(), s.function("prune"), literal(s.model), pruneLimit, s.function("bound"),
		literal(s.outbox()), boundSlice)
}

// registerSQL returns the SQL that records what was installed.
func (s *schema) registerSQL() string {
	o := s.cfg.bounds()
	return fmt.Sprintf(`INSERT INTO retraind.sources AS s (source, definition, max_rows, max_size, max_age)
VALUES (%s, %s, %d, %d, '%d seconds')
ON CONFLICT (source) DO UPDATE SET (definition, max_rows, max_size, max_age) = (excluded.definition, excluded.max_rows, excluded.max_size, excluded.max_age);
`, literal(s.model), literal(s.definition()), o.Rows, o.Size.Bytes(), int64(o.Age.D().Seconds()))
}
