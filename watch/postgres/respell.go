package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/retraind/retraind/watch"
)

// spelling is the version of the text form of values. A cursor without this version is from an older retraind, which
// formatted keys according to the settings of each session.
const spelling = 1

// otherSpelling is the reason for a full read if an older retraind, which formatted keys according to the session's
// settings, stored the cursor.
const otherSpelling = "this version of retraind formats keys and labels independently of session settings"

// respellKeys renames items whose key was stored in another text form, so that the full read that follows
// recognises them. It does nothing if the text form of the keys does not depend on settings.
func (s *Source) respellKeys(ctx context.Context, tx pgx.Tx) error {
	sink, ok := s.sink.(watch.Respeller)
	if !ok {
		return nil
	}
	keys := *s.schema
	keys.targets = nil
	keys.cfg = &Config{ID: s.cfg.ID}
	var depends bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS ("+keys.settingsQuery()+")").Scan(&depends); err != nil || !depends {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
		WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped`, s.schema.table)
	if err != nil {
		return err
	}
	columns := map[string]string{}
	var name, sqlType string
	if _, err = pgx.ForEachRow(rows, []any{&name, &sqlType},
		func() error { columns[name] = sqlType; return nil }); err != nil {
		return err
	}
	query := s.schema.spellQuery(s.schema.keyTypes(columns))
	n, err := sink.Respell(ctx, s.Name(), func(keys []string) (map[string]string, error) {
		found := map[string]string{}
		return found, spell(ctx, tx, query, keys, found)
	})
	if err == nil && n > 0 {
		s.Log.Info("item keys were renamed to their present text form", "count", n)
	}
	return err
}

// spellQuery returns the query that converts keys $1 from any text form to the current one.
func (s *schema) spellQuery(types []string) string {
	key := "k::" + types[0] + "::text"
	if len(types) > 1 {
		parts := make([]string, len(types))
		for i, t := range types {
			parts[i] = fmt.Sprintf("(k::jsonb ->> %d)::%s", i, t)
		}
		key = "jsonb_build_array(" + strings.Join(parts, ", ") + ")::text"
	}
	return "SELECT " + key + " FROM unnest($1::text[]) WITH ORDINALITY AS u(k, n) ORDER BY n"
}

// spell adds to the map `found` each key whose text form changed, with its current text form. It ignores keys that the
// server cannot parse, so that they are kept.
func spell(ctx context.Context, tx pgx.Tx, query string, keys []string, found map[string]string) error {
	var spelled []*string
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query, keys)
		if err == nil {
			spelled, err = pgx.CollectRows(rows, pgx.RowTo[*string])
		}
		return err
	})
	var server *pgconn.PgError
	switch {
	case errors.As(err, &server) && strings.HasPrefix(server.Code, "22") && len(keys) > 1:
		half := len(keys) / 2
		return errors.Join(spell(ctx, tx, query, keys[:half], found), spell(ctx, tx, query, keys[half:], found))
	case errors.As(err, &server) && strings.HasPrefix(server.Code, "22"):
		return nil
	case err != nil:
		return err
	}
	for i, now := range spelled {
		if now != nil && *now != keys[i] {
			found[keys[i]] = validText(*now)
		}
	}
	return nil
}
