package postgres

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/retraind/retraind/watch"
)

// Export streams the table as training data, from one consistent snapshot, in constant memory. It opens a separate
// connection. An error ends the sequence.
func Export(ctx context.Context, model string, cfg *Config) iter.Seq2[watch.Item, error] {
	return func(yield func(watch.Item, error) bool) {
		schema, err := newSchema(model, cfg)
		if err != nil {
			yield(watch.Item{}, err)
			return
		}
		conn, err := dial(ctx, cfg)
		if err != nil {
			yield(watch.Item{}, err)
			return
		}
		stopped := false
		err = guardQueries(ctx, cfg, conn, func(ctx context.Context) error {
			tx, err := beginRead(ctx, conn)
			if err != nil {
				return err
			}
			if err := schema.learnPadding(ctx, conn); err != nil {
				return err
			}
			for item, err := range schema.rows(ctx, tx) {
				if err != nil {
					return err
				}
				if stopped = !yield(item, nil); stopped {
					return nil
				}
			}
			return tx.Commit(ctx)
		})
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		// After a complete read, an error while closing is harmless, and ignored.
		if closed := conn.Close(closing); err != nil {
			err = errors.Join(err, closed)
		}
		if err != nil && !stopped {
			yield(watch.Item{}, err)
		}
	}
}
