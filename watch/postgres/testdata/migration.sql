-- retraind: record the label changes of "app"."items" for the model relevance.
-- Undo with the output of: retraind init sql --down
-- To rename a watched column or change its type: run that output, migrate, and run this file again.

BEGIN;
-- Give up rather than block the table's writers while waiting for a lock.
SET LOCAL lock_timeout = '5s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $retraind$ BEGIN
  IF EXISTS (SELECT FROM pg_class WHERE oid = '"app"."items"'::regclass AND relkind NOT IN ('r', 'p')) THEN
    RAISE 'triggers can record label changes only of tables, not of views or foreign tables: %', '"app"."items"';
  END IF;
  IF EXISTS (SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhparent WHERE '"app"."items"'::regclass IN (inhparent, inhrelid)
    AND NOT (inhparent = '"app"."items"'::regclass AND relkind = 'p')) THEN
    RAISE 'triggers cannot record label changes of a single partition or of a table with inheritance: %', '"app"."items"';
  END IF;
  IF current_setting('max_prepared_transactions')::int > 0 THEN
    RAISE WARNING 'PREPARE TRANSACTION fails after a label change that wakes retraind: if the application uses it, set labels.postgres.notify: false and run this SQL again';
  END IF;
  PERFORM r."id"::pg_catalog.text, pg_catalog.jsonb_build_object('priority', r."priority", 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT r.*) AS retraind_row)), r."updated_by"::text, r."title"::text, r."content"::text
  FROM (SELECT * FROM "app"."items" LIMIT 1000) AS r;
END $retraind$;

CREATE SCHEMA IF NOT EXISTS retraind;

-- One row per watched table: what its triggers record, up to where its outbox was pruned, and its bounds.
CREATE TABLE IF NOT EXISTS retraind.sources (
  source     text PRIMARY KEY,
  definition text NOT NULL,
  pruned     xid8 NOT NULL DEFAULT '0',
  max_rows   bigint NOT NULL,
  max_size   bigint NOT NULL,
  max_age    interval NOT NULL
);

-- One row per label change, written in the transaction that made it.
CREATE TABLE IF NOT EXISTS "retraind"."relevance_outbox" (
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
CREATE INDEX IF NOT EXISTS "relevance_outbox_xid" ON "retraind"."relevance_outbox" (xid);

-- Removes rows that were read: those before the transaction and older than the instant, in small batches.
CREATE OR REPLACE FUNCTION "retraind"."relevance_prune"(before xid8, older timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
DECLARE
  gone bigint;
  last xid8;
BEGIN
  WITH d AS (
    DELETE FROM "retraind"."relevance_outbox" WHERE ctid = ANY (ARRAY(
      SELECT o.ctid FROM "retraind"."relevance_outbox" AS o WHERE o.xid < before AND o.at < older ORDER BY o.xid LIMIT 20000
    )) RETURNING xid
  ) SELECT count(*), max(d.xid::text::numeric)::text::xid8 INTO gone, last FROM d;
  IF gone > 0 THEN
    UPDATE retraind.sources AS s SET pruned = last WHERE s.source = 'relevance' AND s.pruned < last;
  END IF;
  RETURN gone;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_prune"(xid8, timestamptz) FROM PUBLIC;

-- Keeps the outbox within its bounds while it is not read. It neither waits nor locks, so that it does not delay
-- the writer in whose transaction this runs.
CREATE OR REPLACE FUNCTION "retraind"."relevance_bound"(newest bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $retraind$
DECLARE
  source retraind.sources;
  oldest "retraind"."relevance_outbox";
BEGIN
  SELECT * INTO source FROM retraind.sources AS s WHERE s.source = 'relevance';
  SELECT * INTO oldest FROM "retraind"."relevance_outbox" AS o ORDER BY o.xid LIMIT 1;
  IF newest - oldest.seq > source.max_rows OR oldest.at < clock_timestamp() - source.max_age
    OR pg_table_size('"retraind"."relevance_outbox"') > source.max_size THEN
    DELETE FROM "retraind"."relevance_outbox" WHERE ctid = ANY (ARRAY(
      SELECT o.ctid FROM "retraind"."relevance_outbox" AS o ORDER BY o.xid LIMIT 8192 FOR UPDATE SKIP LOCKED
    ));
    INSERT INTO "retraind"."relevance_outbox" (op, item) VALUES ('reread', 'the outbox was full, and its oldest rows were dropped');
  END IF;
EXCEPTION WHEN serialization_failure THEN
  NULL; -- another writer removes the same rows
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_bound"(bigint) FROM PUBLIC;

CREATE OR REPLACE FUNCTION "retraind"."relevance_insert"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
#variable_conflict use_column
DECLARE
  retraind_labels jsonb;
  retraind_failed text;
  retraind_rows bigint;
  retraind_seq bigint;
BEGIN
  IF TG_LEVEL = 'ROW' THEN
    BEGIN
      retraind_labels := pg_catalog.jsonb_build_object('priority', NEW."priority", 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT NEW.*) AS retraind_row));
    EXCEPTION WHEN OTHERS THEN
      retraind_failed := SQLERRM;
    END;
    IF retraind_failed IS NOT NULL THEN
      INSERT INTO "retraind"."relevance_outbox" (op, item) VALUES ('reread', 'a label expression failed: ' || retraind_failed);
    ELSE
      INSERT INTO "retraind"."relevance_outbox" (op, item, old, new, text_changed, author, origin)
      VALUES ('insert', NEW."id"::pg_catalog.text, NULL, retraind_labels, true, CASE WHEN pg_catalog.current_setting('retraind.author', true) OPERATOR(pg_catalog.<>) '' THEN pg_catalog.current_setting('retraind.author', true) ELSE NEW."updated_by"::pg_catalog.text END, pg_catalog.current_setting('retraind.origin', true));
    END IF;
  ELSE
    BEGIN
      INSERT INTO "retraind"."relevance_outbox" (op, item, old, new, text_changed, author, origin)
      SELECT 'insert', r."id"::pg_catalog.text, NULL, pg_catalog.jsonb_build_object('priority', r."priority", 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT r.*) AS retraind_row)), true, CASE WHEN pg_catalog.current_setting('retraind.author', true) OPERATOR(pg_catalog.<>) '' THEN pg_catalog.current_setting('retraind.author', true) ELSE r."updated_by"::pg_catalog.text END, pg_catalog.current_setting('retraind.origin', true) FROM retraind_new AS r;
    EXCEPTION WHEN OTHERS THEN
      INSERT INTO "retraind"."relevance_outbox" (op, item) VALUES ('reread', 'a label expression failed: ' || SQLERRM);
    END;
  END IF;
  GET DIAGNOSTICS retraind_rows = ROW_COUNT;
  IF retraind_rows = 0 THEN
    RETURN NULL;
  END IF;
  retraind_seq := currval('"retraind"."relevance_outbox_seq_seq"');
  IF retraind_seq % 1024 < retraind_rows THEN
    PERFORM "retraind"."relevance_bound"(retraind_seq);
  END IF;
  IF NOT (pg_catalog.pg_try_advisory_lock_shared(1920234084, -404166168) AND pg_catalog.pg_advisory_unlock_shared(1920234084, -404166168)) THEN
    PERFORM pg_catalog.pg_notify('retraind_relevance', '');
  END IF;
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_insert"() FROM PUBLIC;

CREATE OR REPLACE FUNCTION "retraind"."relevance_update"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
#variable_conflict use_column
DECLARE
  retraind_old jsonb;
  retraind_new jsonb;
  retraind_text boolean;
  retraind_failed text;
  retraind_rows bigint;
  retraind_seq bigint;
BEGIN
  -- Any change of the row may matter. This operator compares rows of any types.
  IF OLD OPERATOR(pg_catalog.*=) NEW THEN
    RETURN NULL;
  END IF;
  BEGIN
    retraind_old := pg_catalog.jsonb_build_object('priority', OLD."priority", 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT OLD.*) AS retraind_row));
    retraind_new := pg_catalog.jsonb_build_object('priority', NEW."priority", 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT NEW.*) AS retraind_row));
    retraind_text := NOT (coalesce(OLD."title"::pg_catalog.text OPERATOR(pg_catalog.=) NEW."title"::pg_catalog.text, OLD."title"::pg_catalog.text IS NULL AND NEW."title"::pg_catalog.text IS NULL) AND coalesce(OLD."content"::pg_catalog.text OPERATOR(pg_catalog.=) NEW."content"::pg_catalog.text, OLD."content"::pg_catalog.text IS NULL AND NEW."content"::pg_catalog.text IS NULL));
  EXCEPTION WHEN OTHERS THEN
    retraind_failed := SQLERRM;
  END;
  IF retraind_failed IS NOT NULL THEN
    INSERT INTO "retraind"."relevance_outbox" (op, item) VALUES ('reread', 'a label expression failed: ' || retraind_failed);
  ELSIF NOT (coalesce(OLD."id"::pg_catalog.text OPERATOR(pg_catalog.=) NEW."id"::pg_catalog.text, OLD."id"::pg_catalog.text IS NULL AND NEW."id"::pg_catalog.text IS NULL)) THEN
    -- A changed key is recorded as a delete and an insert.
    INSERT INTO "retraind"."relevance_outbox" (op, item, old, new, text_changed, author, origin)
    VALUES ('delete', OLD."id"::pg_catalog.text, retraind_old, NULL, false, CASE WHEN pg_catalog.current_setting('retraind.author', true) OPERATOR(pg_catalog.<>) '' THEN pg_catalog.current_setting('retraind.author', true) ELSE CASE WHEN coalesce(pg_catalog.current_setting('retraind.wrote', true) OPERATOR(pg_catalog.=) NEW."id"::pg_catalog.text, false) OR NOT (coalesce(OLD."updated_by"::pg_catalog.text OPERATOR(pg_catalog.=) NEW."updated_by"::pg_catalog.text, OLD."updated_by"::pg_catalog.text IS NULL AND NEW."updated_by"::pg_catalog.text IS NULL)) THEN NEW."updated_by"::pg_catalog.text END END, pg_catalog.current_setting('retraind.origin', true)),
      ('insert', NEW."id"::pg_catalog.text, NULL, retraind_new, true, CASE WHEN pg_catalog.current_setting('retraind.author', true) OPERATOR(pg_catalog.<>) '' THEN pg_catalog.current_setting('retraind.author', true) ELSE CASE WHEN coalesce(pg_catalog.current_setting('retraind.wrote', true) OPERATOR(pg_catalog.=) NEW."id"::pg_catalog.text, false) OR NOT (coalesce(OLD."updated_by"::pg_catalog.text OPERATOR(pg_catalog.=) NEW."updated_by"::pg_catalog.text, OLD."updated_by"::pg_catalog.text IS NULL AND NEW."updated_by"::pg_catalog.text IS NULL)) THEN NEW."updated_by"::pg_catalog.text END END, pg_catalog.current_setting('retraind.origin', true));
  ELSIF retraind_text OR retraind_old IS DISTINCT FROM retraind_new THEN
    INSERT INTO "retraind"."relevance_outbox" (op, item, old, new, text_changed, author, origin)
    VALUES ('update', NEW."id"::pg_catalog.text, retraind_old, retraind_new, retraind_text, CASE WHEN pg_catalog.current_setting('retraind.author', true) OPERATOR(pg_catalog.<>) '' THEN pg_catalog.current_setting('retraind.author', true) ELSE CASE WHEN coalesce(pg_catalog.current_setting('retraind.wrote', true) OPERATOR(pg_catalog.=) NEW."id"::pg_catalog.text, false) OR NOT (coalesce(OLD."updated_by"::pg_catalog.text OPERATOR(pg_catalog.=) NEW."updated_by"::pg_catalog.text, OLD."updated_by"::pg_catalog.text IS NULL AND NEW."updated_by"::pg_catalog.text IS NULL)) THEN NEW."updated_by"::pg_catalog.text END END, pg_catalog.current_setting('retraind.origin', true));
  ELSE
    RETURN NULL;
  END IF;
  GET DIAGNOSTICS retraind_rows = ROW_COUNT;
  IF retraind_rows = 0 THEN
    RETURN NULL;
  END IF;
  retraind_seq := currval('"retraind"."relevance_outbox_seq_seq"');
  IF retraind_seq % 1024 < retraind_rows THEN
    PERFORM "retraind"."relevance_bound"(retraind_seq);
  END IF;
  IF NOT (pg_catalog.pg_try_advisory_lock_shared(1920234084, -404166168) AND pg_catalog.pg_advisory_unlock_shared(1920234084, -404166168)) THEN
    PERFORM pg_catalog.pg_notify('retraind_relevance', '');
  END IF;
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_update"() FROM PUBLIC;

CREATE OR REPLACE FUNCTION "retraind"."relevance_delete"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
#variable_conflict use_column
DECLARE
  retraind_labels jsonb;
  retraind_failed text;
  retraind_rows bigint;
  retraind_seq bigint;
BEGIN
  IF TG_LEVEL = 'ROW' THEN
    BEGIN
      retraind_labels := pg_catalog.jsonb_build_object('priority', OLD."priority", 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT OLD.*) AS retraind_row));
    EXCEPTION WHEN OTHERS THEN
      retraind_failed := SQLERRM;
    END;
    IF retraind_failed IS NOT NULL THEN
      INSERT INTO "retraind"."relevance_outbox" (op, item) VALUES ('reread', 'a label expression failed: ' || retraind_failed);
    ELSE
      INSERT INTO "retraind"."relevance_outbox" (op, item, old, new, text_changed, author, origin)
      VALUES ('delete', OLD."id"::pg_catalog.text, retraind_labels, NULL, false, pg_catalog.current_setting('retraind.author', true), pg_catalog.current_setting('retraind.origin', true));
    END IF;
  ELSE
    BEGIN
      INSERT INTO "retraind"."relevance_outbox" (op, item, old, new, text_changed, author, origin)
      SELECT 'delete', r."id"::pg_catalog.text, pg_catalog.jsonb_build_object('priority', r."priority", 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT r.*) AS retraind_row)), NULL, false, pg_catalog.current_setting('retraind.author', true), pg_catalog.current_setting('retraind.origin', true) FROM retraind_old AS r;
    EXCEPTION WHEN OTHERS THEN
      INSERT INTO "retraind"."relevance_outbox" (op, item) VALUES ('reread', 'a label expression failed: ' || SQLERRM);
    END;
  END IF;
  GET DIAGNOSTICS retraind_rows = ROW_COUNT;
  IF retraind_rows = 0 THEN
    RETURN NULL;
  END IF;
  retraind_seq := currval('"retraind"."relevance_outbox_seq_seq"');
  IF retraind_seq % 1024 < retraind_rows THEN
    PERFORM "retraind"."relevance_bound"(retraind_seq);
  END IF;
  IF NOT (pg_catalog.pg_try_advisory_lock_shared(1920234084, -404166168) AND pg_catalog.pg_advisory_unlock_shared(1920234084, -404166168)) THEN
    PERFORM pg_catalog.pg_notify('retraind_relevance', '');
  END IF;
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_delete"() FROM PUBLIC;

CREATE OR REPLACE FUNCTION "retraind"."relevance_truncate"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
#variable_conflict use_column
DECLARE
  retraind_rows bigint;
  retraind_seq bigint;
BEGIN
  INSERT INTO "retraind"."relevance_outbox" (op, item, old, new, text_changed, author, origin)
  VALUES ('truncate', NULL, NULL, NULL, false, pg_catalog.current_setting('retraind.author', true), pg_catalog.current_setting('retraind.origin', true));
  GET DIAGNOSTICS retraind_rows = ROW_COUNT;
  IF retraind_rows = 0 THEN
    RETURN NULL;
  END IF;
  retraind_seq := currval('"retraind"."relevance_outbox_seq_seq"');
  IF retraind_seq % 1024 < retraind_rows THEN
    PERFORM "retraind"."relevance_bound"(retraind_seq);
  END IF;
  IF NOT (pg_catalog.pg_try_advisory_lock_shared(1920234084, -404166168) AND pg_catalog.pg_advisory_unlock_shared(1920234084, -404166168)) THEN
    PERFORM pg_catalog.pg_notify('retraind_relevance', '');
  END IF;
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_truncate"() FROM PUBLIC;

CREATE OR REPLACE FUNCTION "retraind"."relevance_author"() RETURNS trigger LANGUAGE plpgsql AS $retraind$
DECLARE
  retraind_done text := pg_catalog.set_config('retraind.wrote', NEW."id"::pg_catalog.text, true);
BEGIN
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_author"() FROM PUBLIC;

DROP TRIGGER IF EXISTS "retraind_relevance_author" ON "app"."items";
DROP TRIGGER IF EXISTS "retraind_relevance_insert" ON "app"."items";
DROP TRIGGER IF EXISTS "retraind_relevance_update" ON "app"."items";
DROP TRIGGER IF EXISTS "retraind_relevance_delete" ON "app"."items";
DROP TRIGGER IF EXISTS "retraind_relevance_truncate" ON "app"."items";

DO $retraind$ DECLARE
  -- Statement-level triggers see neither direct writes to a partition nor writes of a subscription.
  every_row CONSTANT boolean := EXISTS (SELECT FROM pg_class WHERE oid = '"app"."items"'::regclass AND relkind = 'p')
    OR EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = '"app"."items"'::regclass);
  columns text := '';
BEGIN
  -- A BEFORE trigger may change columns that the statement does not set; then every update is checked.
  IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = '"app"."items"'::regclass AND NOT tgisinternal AND tgtype & 19 = 19) THEN
    -- Only the server knows which columns an expression reads: it records the dependencies of a view.
    CREATE TEMPORARY VIEW retraind_probe AS SELECT "id" AS e0, "title" AS e1, "content" AS e2, "priority" AS e3, (priority <> 'none') AS e4 FROM "app"."items" AS r;
    SELECT ' OF ' || string_agg(DISTINCT quote_ident(a.attname), ', ') INTO columns FROM pg_rewrite AS w
      JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
      JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      WHERE w.ev_class = 'pg_temp.retraind_probe'::regclass AND d.refobjid = '"app"."items"'::regclass AND d.refobjsubid > 0;
    DROP VIEW pg_temp.retraind_probe;
  END IF;
  IF every_row THEN
    EXECUTE 'CREATE TRIGGER "retraind_relevance_insert" AFTER ' || 'INSERT' || ' ON "app"."items" FOR EACH ROW EXECUTE FUNCTION "retraind"."relevance_insert"()';
    EXECUTE 'CREATE TRIGGER "retraind_relevance_delete" AFTER ' || 'DELETE' || ' ON "app"."items" FOR EACH ROW EXECUTE FUNCTION "retraind"."relevance_delete"()';
  ELSE
    EXECUTE 'CREATE TRIGGER "retraind_relevance_insert" AFTER ' || 'INSERT' || ' ON "app"."items" REFERENCING NEW TABLE AS retraind_new FOR EACH STATEMENT EXECUTE FUNCTION "retraind"."relevance_insert"()';
    EXECUTE 'CREATE TRIGGER "retraind_relevance_delete" AFTER ' || 'DELETE' || ' ON "app"."items" REFERENCING OLD TABLE AS retraind_old FOR EACH STATEMENT EXECUTE FUNCTION "retraind"."relevance_delete"()';
  END IF;
  EXECUTE 'CREATE TRIGGER "retraind_relevance_update" AFTER ' || 'UPDATE' || columns || ' ON "app"."items" FOR EACH ROW EXECUTE FUNCTION "retraind"."relevance_update"()';
  EXECUTE 'CREATE TRIGGER "retraind_relevance_truncate" AFTER ' || 'TRUNCATE' || ' ON "app"."items" FOR EACH STATEMENT EXECUTE FUNCTION "retraind"."relevance_truncate"()';
  EXECUTE 'CREATE TRIGGER "retraind_relevance_author" AFTER ' || 'UPDATE OF "updated_by"' || ' ON "app"."items" FOR EACH ROW EXECUTE FUNCTION "retraind"."relevance_author"()';
END $retraind$;

-- They also fire under session_replication_role = replica: data loaded that way changes labels too.
ALTER TABLE "app"."items" ENABLE ALWAYS TRIGGER "retraind_relevance_author";
ALTER TABLE "app"."items" ENABLE ALWAYS TRIGGER "retraind_relevance_insert";
ALTER TABLE "app"."items" ENABLE ALWAYS TRIGGER "retraind_relevance_update";
ALTER TABLE "app"."items" ENABLE ALWAYS TRIGGER "retraind_relevance_delete";
ALTER TABLE "app"."items" ENABLE ALWAYS TRIGGER "retraind_relevance_truncate";

-- The recorded text must not depend on the formats of dates, times and numbers in the writer's session.
DO $retraind$ DECLARE
  setting record;
  function text;
BEGIN
  FOR setting IN WITH RECURSIVE kinds(oid) AS (
    SELECT a.atttypid FROM pg_attribute AS a WHERE a.attrelid = '"app"."items"'::regclass AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.attname = ANY (ARRAY['id', 'title', 'content', 'priority', 'updated_by', 'id', 'title', 'content', 'priority']::text[]) OR strpos(lower('priority <> ''none'''), lower(a.attname)) > 0)
    UNION
    SELECT part.oid FROM kinds JOIN pg_type AS t ON t.oid = kinds.oid CROSS JOIN LATERAL (
      SELECT t.typelem UNION ALL SELECT t.typbasetype
      UNION ALL SELECT a.atttypid FROM pg_attribute AS a WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT r.rngsubtype FROM pg_range AS r WHERE r.rngtypid = t.oid
    ) AS part(oid) WHERE part.oid <> 0
  )
  SELECT s.name, s.value FROM (VALUES ('TimeZone', '''UTC''', '{timestamptz}'::text[]), ('DateStyle', '''ISO''', '{date,timestamp,timestamptz}'::text[]), ('IntervalStyle', '''postgres''', '{interval}'::text[]), ('extra_float_digits', '''1''', '{float4,float8,path,polygon,circle}'::text[]), ('bytea_output', '''hex''', '{bytea}'::text[]), ('lc_monetary', '''C''', '{money}'::text[]), ('quote_all_identifiers', '''off''', '{regclass,regtype,regproc,regprocedure,regoper,regoperator,regrole,regnamespace,regconfig,regdictionary,regcollation}'::text[]), ('search_path', 'pg_catalog, pg_temp', '{regclass,regtype,regproc,regprocedure,regoper,regoperator,regrole,regnamespace,regconfig,regdictionary,regcollation}')) AS s(name, value, types)
  WHERE false OR EXISTS (SELECT FROM kinds JOIN pg_type AS t ON t.oid = kinds.oid WHERE CASE
    WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname = ANY (s.types) OR t.typtype = 'm'
    ELSE t.typtype = 'm' OR t.typtype = 'b' AND t.typelem = 0 AND t.typcategory <> 'S' END)
  LOOP
    FOREACH function IN ARRAY ARRAY['"retraind"."relevance_insert"', '"retraind"."relevance_update"', '"retraind"."relevance_delete"', '"retraind"."relevance_author"']::text[] LOOP
      EXECUTE format('ALTER FUNCTION %s() SET %I = %s', function, setting.name, setting.value);
    END LOOP;
  END LOOP;
END $retraind$;

INSERT INTO retraind.sources AS s (source, definition, max_rows, max_size, max_age)
VALUES ('relevance', '1acf5036f7fa43adbb2db2a8e3155183daed7d70b8f52bd1b0016caeb9f8cd3f', 1000000, 1073741824, '604800 seconds')
ON CONFLICT (source) DO UPDATE SET (definition, max_rows, max_size, max_age) = (excluded.definition, excluded.max_rows, excluded.max_size, excluded.max_age);

COMMIT;
