-- retraind: stop recording the label changes of "app"."items" for the model relevance.

BEGIN;

DROP TRIGGER IF EXISTS "retraind_relevance_author" ON "app"."items";
DROP FUNCTION IF EXISTS "retraind"."relevance_author"();
DROP TRIGGER IF EXISTS "retraind_relevance_insert" ON "app"."items";
DROP FUNCTION IF EXISTS "retraind"."relevance_insert"();
DROP TRIGGER IF EXISTS "retraind_relevance_update" ON "app"."items";
DROP FUNCTION IF EXISTS "retraind"."relevance_update"();
DROP TRIGGER IF EXISTS "retraind_relevance_delete" ON "app"."items";
DROP FUNCTION IF EXISTS "retraind"."relevance_delete"();
DROP TRIGGER IF EXISTS "retraind_relevance_truncate" ON "app"."items";
DROP FUNCTION IF EXISTS "retraind"."relevance_truncate"();
DROP FUNCTION IF EXISTS "retraind"."relevance_prune"(xid8, timestamptz);
DROP FUNCTION IF EXISTS "retraind"."relevance_bound"(bigint);
DROP TABLE IF EXISTS "retraind"."relevance_outbox";
DELETE FROM retraind.sources WHERE source = 'relevance';

DO $retraind$
BEGIN
  IF NOT EXISTS (SELECT FROM retraind.sources) THEN
    DROP TABLE retraind.sources;
    DROP SCHEMA retraind;
  END IF;
END $retraind$;

COMMIT;
