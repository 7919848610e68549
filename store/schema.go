package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/retraind/retraind/internal/faults"
)

// migrations are applied in order; PRAGMA user_version counts them. Never edit a released migration; add a new one.
var migrations = []string{`
create table models (
	model     text primary key,
	champion  text not null default '', -- digest of the release that serves
	previous  text not null default '',
	applied   integer not null default 0, -- last change that an evaluation has published
	monitor   text not null default '',   -- state of its sequential tests
	baseline  text not null default '',
	info      text not null default '',   -- digest of all labels now: equal means no new information
	intent    text not null default '',   -- the armed decision that waits, if any
	force     text not null default '',   -- a forced retrain that waits, if any
	hold      text not null default '',   -- why nothing may be started, if so
	shadow    text not null default '',   -- what is remembered of the shadow policy
	testset   text not null default '',   -- digest of the user's own test set that the sides were decided by
	sweep     integer not null default 0  -- number of the newest full read
) strict;
create table pauses (
	model text primary key, -- '' for every model
	by text not null, reason text not null, since text not null, until text not null
) strict;
create table cursors (
	model text not null, source text not null, position text not null,
	primary key (model, source)
) strict;
create table items (
	model text not null, id text not null,
	heldout integer not null,    -- decided once, when the item was first seen
	grp text not null,           -- hash of the group key: duplicates have the same
	text_hash text not null,
	text text not null,          -- JSON; kept for held-out items, and for those that no table keeps
	born integer not null,       -- the change that brought its text
	labels text not null,        -- JSON
	base text not null,          -- JSON: what the table says, where an event has said otherwise since; else null
	source text not null,        -- the event source that brought it; '' is the table
	seq integer not null,        -- its last change
	touched integer not null,    -- its last change by others than retraind, 0 if there was none
	at text not null,
	sweep integer not null,      -- the last full read that saw it
	primary key (model, id)
) strict;
create index items_heldout on items (model, heldout, grp) where heldout = 1;
create index items_brought on items (model, source) where source <> '';
create index items_relabelled on items (model, base) where base <> 'null';
create table seen (             -- events that have a name, by it
	model text not null, source text not null, key text not null, stored text not null,
	primary key (model, source, key)
) strict, without rowid;
create table said (             -- what each label file said last about an item, as a digest
	model text not null, file text not null, item text not null, digest text not null,
	primary key (model, file, item)
) strict, without rowid;
create table early (            -- labels that wait for their item
	model text not null, item text not null, source text not null, event text not null, stored text not null,
	primary key (model, item)
) strict, without rowid;
create table requests (         -- requests that were carried out, by the name that their sender gave them
	id text not null, verb text not null, model text not null, answer text not null, at text not null,
	primary key (id)
) strict, without rowid;
create table changes (
	n integer primary key autoincrement,
	model text not null, source text not null, key text not null,
	op text not null, item text not null, heldout integer not null, grp text not null, text_hash text not null,
	old text not null, new text not null, at text not null, author text not null, origin text not null,
	stored text not null
) strict;
create unique index changes_key on changes (model, source, key);
create index changes_model on changes (model, n);
create table predictions (
	model text not null, release text not null, item text not null, text_hash text not null, answers text not null,
	confidence real not null, -- of the gating answer, 0 if the service returns none
	primary key (model, release, item, text_hash)
) strict, without rowid;
create table releases ( -- two models that train alike have the same digest, each a release of its own
	model text not null, digest text not null,
	run text not null, path text not null, seq integer not null, info text not null,
	labels text not null, metrics text not null, state text not null, created text not null,
	primary key (model, digest)
) strict;
create index releases_model on releases (model, created);
create table trained ( -- which items a run trained on, for as long as its release may serve
	model text not null, run text not null, seen blob not null,
	primary key (model, run)
) strict, without rowid;
create table deploys (
	n integer primary key autoincrement,
	model text not null, release text not null, run text not null, kind text not null, at text not null,
	unique (run, release, kind)
) strict;
create table reports (
	n integer primary key autoincrement,
	model text not null, at text not null, seq integer not null, state text not null, accuracy real not null, body text not null
) strict;
create index reports_model on reports (model, n);
create table decisions (
	n integer primary key autoincrement,
	model text not null, at text not null, verdict text not null, reason text not null, run text not null default '', body text not null
) strict;
create index decisions_model on decisions (model, n);
create table runs (
	id text primary key,
	model text not null, pipeline text not null, trigger text not null, forced integer not null,
	state text not null, outcome text not null default '', reason text not null default '',
	info text not null, plan text not null, result text not null default '',
	cancel text not null default '',
	created text not null, started text not null default '', ended text not null default ''
) strict;
create index runs_model on runs (model, created);
create table steps (
	run text not null references runs (id), ord integer not null, name text not null, attempt integer not null,
	kind text not null, state text not null, detail text not null default '',
	started text not null, ended text not null default '',
	primary key (run, ord, attempt)
) strict;
create table outbox (
	n integer primary key autoincrement,
	id text not null unique, kind text not null, model text not null, subject text not null, key text not null, body text not null,
	created text not null, published text not null default ''
) strict;
create index outbox_waiting on outbox (n) where published = '';
`, `
alter table models add column serving text not null default ''; -- what is known of what really serves
alter table predictions add column at text not null default ''; -- when it was answered
`, `
alter table said add column reading integer not null default 0; -- the pass over the file that said it
alter table said add column former text not null default '';    -- what the pass before it said about the item
alter table said add column now text not null default '';       -- what this pass has said so far
create table stated ( -- the newest statement about an item's target, of senders that give its time
	model text not null, source text not null, item text not null, target text not null, -- '' is the item itself
	at text not null, subject text not null, -- what said it, such as an annotation
	primary key (model, source, item, target)
) strict, without rowid;
create index stated_subject on stated (model, source, subject);
`, `
alter table stated add column label text not null default ''; -- what it said
`, `
alter table releases add column pinned text not null default ''; -- JSON: by whom, when and why; '' if it is not
`}

// readable returns an error if the schema of the store differs from this binary's.
func readable(db *sql.DB) error {
	var version int
	if err := db.QueryRow("pragma user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version > len(migrations):
		return newer(version)
	case version < len(migrations):
		return fmt.Errorf("the store has schema %d, this retraind reads %d: start `retraind run` of this version once to upgrade the store",
			version, len(migrations))
	}
	return nil
}

func newer(version int) error {
	return fmt.Errorf("the store was written by a newer retraind (schema %d, this one knows %d): install that version again, or restore a backup from before the upgrade",
		version, len(migrations))
}

func migrate(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, "pragma user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return newer(version)
	}
	for ; version < len(migrations); version++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx,
			migrations[version]+fmt.Sprintf("\npragma user_version = %d;", version+1)); err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("upgrade to schema %d: %w", version+1, err)
		}
		faults.Point("migrating")
		if err := tx.Commit(); err != nil {
			return err
		}
		faults.Point("migrated")
	}
	return nil
}
