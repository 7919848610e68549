-- retraind: what the role "retraind" may read for the model relevance.
-- Run it after the migration, as a user who may create roles and owns the table. Set the password yourself:
-- \password "retraind"

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

DO $retraind$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'retraind') THEN
    CREATE ROLE "retraind" LOGIN NOINHERIT CONNECTION LIMIT 8;
  END IF;
END $retraind$;
ALTER ROLE "retraind" SET default_transaction_read_only = on;
ALTER ROLE "retraind" SET search_path = pg_catalog;
ALTER ROLE "retraind" SET statement_timeout = '60s';
ALTER ROLE "retraind" SET lock_timeout = '2s';
ALTER ROLE "retraind" SET idle_in_transaction_session_timeout = '10s';

GRANT USAGE ON SCHEMA "app" TO "retraind";
GRANT USAGE ON SCHEMA retraind TO "retraind";
GRANT SELECT ON "retraind"."relevance_outbox", retraind.sources TO "retraind";
GRANT EXECUTE ON FUNCTION "retraind"."relevance_prune"(xid8, timestamptz) TO "retraind";
GRANT SELECT ("id", "title", "content", "priority") ON "app"."items" TO "retraind";

DO $retraind$ DECLARE
  col name;
BEGIN
  CREATE TEMPORARY VIEW retraind_probe AS SELECT (priority <> 'none') AS e0 FROM "app"."items";
  FOR col IN
    SELECT DISTINCT a.attname FROM pg_rewrite r
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE r.ev_class = 'pg_temp.retraind_probe'::regclass AND d.refobjid = '"app"."items"'::regclass AND d.refobjsubid > 0
  LOOP
    EXECUTE format('GRANT SELECT (%I) ON %s TO %I', col, '"app"."items"'::regclass, 'retraind');
  END LOOP;
  DROP VIEW pg_temp.retraind_probe;
END $retraind$;

COMMIT;
