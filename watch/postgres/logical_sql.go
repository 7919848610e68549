package postgres

import (
	"fmt"
	"strings"
)

// publication returns the name of a model's publication.
func (s *schema) publication() string { return "retraind_" + s.model }

// slot returns an SQL expression for the name of a model's replication slot. All databases of a cluster share the
// names of slots, so the name contains a hash of the database's name. Only small letters, digits and underscores are
// allowed.
func (s *schema) slot() string {
	return fmt.Sprintf("%s || left(md5(%s || current_database()), 8)",
		literal("retraind_"+strings.ReplaceAll(s.model, "-", "_")+"_"), literal(s.model+"/"))
}

// publish returns the SQL that installs capture: logical.
func (s *schema) publish() string {
	quoted := make([]string, 0, 8)
	for _, name := range s.readColumns() {
		quoted = append(quoted, literal(name))
	}
	keys := make([]string, len(s.cfg.ID))
	for i, name := range s.cfg.ID {
		keys[i] = literal(name)
	}
	var expressions []string
	for _, t := range s.cfg.targets() {
		if !columnName.MatchString(t.source) {
			expressions = append(expressions, "("+t.source+")")
		}
	}
	view := ""
	if len(expressions) > 0 {
		// Only the server knows which columns an expression reads, so the SQL creates a temporary view and reads the
		// dependencies that the server has recorded for it.
		view = fmt.Sprintf(`  CREATE TEMPORARY VIEW retraind_probe AS SELECT %s FROM %s;
  wanted := wanted || ARRAY(SELECT DISTINCT a.attname::text FROM pg_rewrite r
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE r.ev_class = 'pg_temp.retraind_probe'::regclass AND d.refobjid = target AND d.refobjsubid > 0);
  DROP VIEW pg_temp.retraind_probe;
`, strings.Join(numbered(expressions), ", "), s.table)
	}
	return fmt.Sprintf(`-- retraind: publish the changes of %[1]s for the model %[2]s.
-- Run it as the table's owner with the right to replicate, or as a superuser.
-- Undo with the output of: retraind init sql --down

BEGIN;
-- Give up rather than block the table's writers while waiting for a lock.
SET LOCAL lock_timeout = '5s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $retraind$ DECLARE
  target regclass := %[3]s;
  wanted text[] := ARRAY[%[4]s];
  identity text[];
  how "char";
  list text := '';
BEGIN
  IF current_setting('wal_level') <> 'logical' THEN
    RAISE 'wal_level is %%, capture: logical needs "logical" (ALTER SYSTEM SET wal_level = logical, then restart the server; or use capture: outbox)', current_setting('wal_level');
  END IF;
  IF NOT EXISTS (SELECT FROM pg_class WHERE oid = target AND relkind IN ('r', 'p') AND relpersistence = 'p') THEN
    RAISE 'the log contains no changes of %%: it is a view, or a foreign, unlogged or temporary table', target;
  END IF;
%[5]s  how := (SELECT relreplident FROM pg_class WHERE oid = target);
  identity := ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = target AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
    WHERE i.indrelid = target AND CASE how WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary ELSE false END);
  -- PostgreSQL refuses updates of a published table that has no replica identity.
  IF how <> 'f' AND NOT (identity @> ARRAY[%[6]s]::text[]) THEN
    RAISE 'the replica identity of %% has no column %%: give it one with ALTER TABLE %% REPLICA IDENTITY USING INDEX (a unique index on NOT NULL columns), or FULL', target, ARRAY[%[6]s]::text[], target;
  END IF;
  IF how <> 'f' AND current_setting('server_version_num')::int >= 150000 THEN
    list := ' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
      WHERE a.attrelid = target AND a.attnum > 0 AND a.attgenerated = '' AND a.attname = ANY (wanted || identity)) || ')';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = %[7]s) THEN
    EXECUTE format('CREATE PUBLICATION %%I', %[7]s);
  END IF;
  EXECUTE format('ALTER PUBLICATION %%I SET (publish = ''insert, update, delete, truncate'', publish_via_partition_root = true)', %[7]s);
  EXECUTE format('ALTER PUBLICATION %%I SET TABLE %%s%%s', %[7]s, target, list);
END $retraind$;

COMMIT;

-- The slot keeps the log until retraind has read it. Its creation waits until all transactions that are open now have ended.
SELECT slot_name FROM pg_create_logical_replication_slot(%[8]s, 'pgoutput')
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %[8]s);
`, s.table, s.model, literal(s.table), strings.Join(quoted, ", "), view, strings.Join(keys, ", "),
		literal(s.publication()), s.slot())
}

// unpublish returns the SQL that removes what publish created.
func (s *schema) unpublish() string {
	return fmt.Sprintf(`-- retraind: stop publishing the changes of %[1]s for the model %[2]s. Stop retraind first: it would create the slot again.

DO $retraind$ BEGIN
  IF EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %[3]s AND active) THEN
    RAISE 'retraind still reads the slot %%: stop it first', %[3]s;
  END IF;
END $retraind$;
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %[3]s;
DROP PUBLICATION IF EXISTS %[4]s;
`, s.table, s.model, s.slot(), ident(s.publication()))
}

// nothingToInstall returns the SQL of capture: poll, which installs nothing.
func (s *schema) nothingToInstall() string {
	return fmt.Sprintf(`-- retraind: capture poll of %[1]s for the model %[2]s needs nothing in the database.
-- Without an index each poll reads the whole table. CREATE INDEX CONCURRENTLY cannot run in a transaction:
-- CREATE INDEX CONCURRENTLY ON %[1]s (%[3]s);
`, s.table, s.model, ident(s.cfg.watermark()))
}
