-- retraind: record the label changes of "app"."items" for the model relevance.
-- Undo with the output of: retraind init sql --down

BEGIN;
-- Rather give up than make the table's writers queue behind this.
SET LOCAL lock_timeout = '5s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $retraind$ BEGIN
  IF EXISTS (SELECT FROM pg_class WHERE oid = '"app"."items"'::regclass AND relkind <> 'r')
    OR EXISTS (SELECT FROM pg_inherits WHERE '"app"."items"'::regclass IN (inhparent, inhrelid)) THEN
    RAISE 'retraind records label changes of ordinary tables only, not of views, foreign or partitioned tables or inheritance: %', '"app"."items"';
  END IF;
  PERFORM r."id"::text, jsonb_build_object('priority', to_jsonb(r."priority"), 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT r.*) AS retraind_row)), r."updated_by"::text, r."title"::text, r."content"::text
  FROM (SELECT * FROM "app"."items" LIMIT 1000) AS r;
END $retraind$;

CREATE SCHEMA IF NOT EXISTS retraind;

-- One row per label change, written in the transaction that made it.
CREATE TABLE IF NOT EXISTS retraind.outbox (
  source       text NOT NULL,
  xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  op           text NOT NULL,
  item         text,
  old          jsonb,
  new          jsonb,
  text_changed boolean NOT NULL DEFAULT false,
  author       text,
  origin       text,
  at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (source, xid, seq)
);

-- One row per watched table: which triggers it has, and how far the outbox was pruned.
CREATE TABLE IF NOT EXISTS retraind.sources (
  source     text PRIMARY KEY,
  definition text NOT NULL,
  pruned     xid8 NOT NULL DEFAULT '0'
);

-- Removes what was read: rows before the transaction and older than the instant.
CREATE OR REPLACE FUNCTION retraind.prune(source text, before xid8, older timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
DECLARE
  gone bigint;
  last xid8;
BEGIN
  WITH d AS (
    DELETE FROM retraind.outbox o WHERE o.source = prune.source AND o.xid < before AND o.at < older RETURNING o.xid
  ) SELECT count(*), max(d.xid::text::numeric)::text::xid8 INTO gone, last FROM d;
  IF gone > 0 THEN
    UPDATE retraind.sources s SET pruned = last WHERE s.source = prune.source AND s.pruned < last;
  END IF;
  RETURN gone;
END $retraind$;
REVOKE ALL ON FUNCTION retraind.prune(text, xid8, timestamptz) FROM PUBLIC;

CREATE OR REPLACE FUNCTION "retraind"."relevance_insert"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
#variable_conflict use_column
BEGIN
  INSERT INTO retraind.outbox (source, op, item, old, new, text_changed, author, origin)
  SELECT 'relevance', 'insert', r."id"::text, NULL, jsonb_build_object('priority', to_jsonb(r."priority"), 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT r.*) AS retraind_row)), true, coalesce(nullif(current_setting('retraind.author', true), ''), r."updated_by"::text, session_user::text), coalesce(nullif(current_setting('retraind.origin', true), ''), CASE WHEN starts_with(current_setting('application_name'), 'retraind:') THEN current_setting('application_name') END, '') FROM retraind_new AS r;
  IF FOUND THEN
    IF pg_try_advisory_xact_lock_shared(1920234084, -404166168) THEN PERFORM pg_notify('retraind_relevance', ''); END IF;
  END IF;
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_insert"() FROM PUBLIC;
DROP TRIGGER IF EXISTS "retraind_relevance_insert" ON "app"."items";
CREATE TRIGGER "retraind_relevance_insert" AFTER INSERT ON "app"."items"
  REFERENCING NEW TABLE AS retraind_new FOR EACH STATEMENT EXECUTE FUNCTION "retraind"."relevance_insert"();

CREATE OR REPLACE FUNCTION "retraind"."relevance_update"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
#variable_conflict use_column
DECLARE
  retraind_old jsonb := jsonb_build_object('priority', to_jsonb(OLD."priority"), 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT OLD.*) AS retraind_row));
  retraind_new jsonb := jsonb_build_object('priority', to_jsonb(NEW."priority"), 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT NEW.*) AS retraind_row));
  retraind_key text := NEW."id"::text;
  retraind_text boolean := OLD."title"::text IS DISTINCT FROM NEW."title"::text OR OLD."content"::text IS DISTINCT FROM NEW."content"::text;
BEGIN
  IF OLD."id"::text IS DISTINCT FROM retraind_key THEN
    INSERT INTO retraind.outbox (source, op, item, old, new, text_changed, author, origin)
    VALUES ('relevance', 'delete', OLD."id"::text, retraind_old, NULL, false, coalesce(nullif(current_setting('retraind.author', true), ''), NEW."updated_by"::text, session_user::text), coalesce(nullif(current_setting('retraind.origin', true), ''), CASE WHEN starts_with(current_setting('application_name'), 'retraind:') THEN current_setting('application_name') END, '')),
      ('relevance', 'insert', retraind_key, NULL, retraind_new, true, coalesce(nullif(current_setting('retraind.author', true), ''), NEW."updated_by"::text, session_user::text), coalesce(nullif(current_setting('retraind.origin', true), ''), CASE WHEN starts_with(current_setting('application_name'), 'retraind:') THEN current_setting('application_name') END, ''));
  ELSIF retraind_text OR retraind_old IS DISTINCT FROM retraind_new THEN
    INSERT INTO retraind.outbox (source, op, item, old, new, text_changed, author, origin)
    VALUES ('relevance', 'update', retraind_key, retraind_old, retraind_new, retraind_text, coalesce(nullif(current_setting('retraind.author', true), ''), NEW."updated_by"::text, session_user::text), coalesce(nullif(current_setting('retraind.origin', true), ''), CASE WHEN starts_with(current_setting('application_name'), 'retraind:') THEN current_setting('application_name') END, ''));
  ELSE
    RETURN NULL;
  END IF;
  IF pg_try_advisory_xact_lock_shared(1920234084, -404166168) THEN PERFORM pg_notify('retraind_relevance', ''); END IF;
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_update"() FROM PUBLIC;
DROP TRIGGER IF EXISTS "retraind_relevance_update" ON "app"."items";
CREATE TRIGGER "retraind_relevance_update" AFTER UPDATE ON "app"."items"
  FOR EACH ROW WHEN (OLD.* OPERATOR(pg_catalog.*<>) NEW.*) EXECUTE FUNCTION "retraind"."relevance_update"();

CREATE OR REPLACE FUNCTION "retraind"."relevance_delete"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
#variable_conflict use_column
BEGIN
  INSERT INTO retraind.outbox (source, op, item, old, new, text_changed, author, origin)
  SELECT 'relevance', 'delete', r."id"::text, jsonb_build_object('priority', to_jsonb(r."priority"), 'relevant', (SELECT to_jsonb((priority <> 'none')) FROM (SELECT r.*) AS retraind_row)), NULL, false, coalesce(nullif(current_setting('retraind.author', true), ''), session_user::text), coalesce(nullif(current_setting('retraind.origin', true), ''), CASE WHEN starts_with(current_setting('application_name'), 'retraind:') THEN current_setting('application_name') END, '') FROM retraind_old AS r;
  IF FOUND THEN
    IF pg_try_advisory_xact_lock_shared(1920234084, -404166168) THEN PERFORM pg_notify('retraind_relevance', ''); END IF;
  END IF;
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_delete"() FROM PUBLIC;
DROP TRIGGER IF EXISTS "retraind_relevance_delete" ON "app"."items";
CREATE TRIGGER "retraind_relevance_delete" AFTER DELETE ON "app"."items"
  REFERENCING OLD TABLE AS retraind_old FOR EACH STATEMENT EXECUTE FUNCTION "retraind"."relevance_delete"();

CREATE OR REPLACE FUNCTION "retraind"."relevance_truncate"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $retraind$
#variable_conflict use_column
BEGIN
  INSERT INTO retraind.outbox (source, op, item, old, new, text_changed, author, origin)
  VALUES ('relevance', 'truncate', NULL, NULL, NULL, false, coalesce(nullif(current_setting('retraind.author', true), ''), session_user::text), coalesce(nullif(current_setting('retraind.origin', true), ''), CASE WHEN starts_with(current_setting('application_name'), 'retraind:') THEN current_setting('application_name') END, ''));
  IF pg_try_advisory_xact_lock_shared(1920234084, -404166168) THEN PERFORM pg_notify('retraind_relevance', ''); END IF;
  RETURN NULL;
END $retraind$;
REVOKE ALL ON FUNCTION "retraind"."relevance_truncate"() FROM PUBLIC;
DROP TRIGGER IF EXISTS "retraind_relevance_truncate" ON "app"."items";
CREATE TRIGGER "retraind_relevance_truncate" AFTER TRUNCATE ON "app"."items"
  FOR EACH STATEMENT EXECUTE FUNCTION "retraind"."relevance_truncate"();

INSERT INTO retraind.sources AS s (source, definition) VALUES ('relevance', '7099d2fe0ec700dadaab5307a3ced3ebccef86878e42cf78a37934267b43dfe2')
ON CONFLICT (source) DO UPDATE SET definition = excluded.definition;

COMMIT;
