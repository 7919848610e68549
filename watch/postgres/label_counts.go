package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// LabelCounts has the number of rows with each label, by the configuration key that defines the label. A row whose
// label is a set counts for each member of the set.
type LabelCounts map[string]map[string]int

// The bounds of CountLabels: the number of rows that it reads, and the time that it takes.
const (
	countedRows  = 1_000_000
	countTimeout = 5 * time.Second
)

// CountLabels counts the labels of up to a million labelled rows of the table, at most 10,000 different ones of a target. Labels
// that cannot be counted within a few seconds are left out, because the counts are only used for a warning.
func CountLabels(ctx context.Context, model string, cfg *Config) LabelCounts {
	s, err := newSchema(model, cfg)
	if err != nil {
		return nil
	}
	conn, err := dial(ctx, cfg)
	if err != nil {
		return nil
	}
	defer closeQuietly(conn)
	out := LabelCounts{}
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	tx, err := beginRead(ctx, conn)
	if err != nil || s.learnPadding(ctx, conn) != nil {
		return nil
	}
	where := ""
	if cfg.LabelledWhen != "" {
		where = " WHERE (" + cfg.LabelledWhen + ")"
	}
	for _, t := range cfg.labels() {
		counts := map[string]int{}
		rows, err := tx.Query(ctx, fmt.Sprintf("SELECT l, count(*) FROM (SELECT %s AS l FROM %s AS r%s LIMIT %d) AS s GROUP BY 1 LIMIT 10000",
			ownLabel(t), s.table, where, countedRows))
		if err != nil {
			return out
		}
		var text *string
		var n int
		_, err = pgx.ForEachRow(rows, []any{&text, &n}, func() error {
			if text == nil {
				return nil
			}
			label, present, err := s.canonical(t.name, []byte(*text))
			if err != nil || !present {
				return nil //nolint:nilerr // invalid labels are reported when they are read
			}
			var members []string
			if json.Unmarshal([]byte(label), &members) != nil || members == nil { // nil: the label is the word null
				members = []string{label}
			}
			for _, m := range members {
				counts[m] += n
			}
			return nil
		})
		if err != nil {
			return out
		}
		out[s.labelPath(t)] = counts
	}
	return out
}
