package demo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/pgcluster"
)

const (
	databaseName = "newsroom"
	daemonRole   = "retraind"
)

// database is the user's database: a private PostgreSQL with a table of labelled texts, and its editors.
type database struct {
	cluster *pgcluster.Cluster
	conn    *pgx.Conn
	changed atomic.Int64 // labels changed so far
}

func openDatabase(ctx context.Context) (*database, error) {
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{})
	if err != nil {
		return nil, err
	}
	d := &database{cluster: cluster}
	if err := d.prepare(ctx); err != nil {
		_ = cluster.Stop()
		return nil, fmt.Errorf("prepare the database: %w", err)
	}
	return d, nil
}

func (d *database) prepare(ctx context.Context) error {
	admin, err := pgx.Connect(ctx, d.cluster.DSN("postgres"))
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	for _, sql := range []string{"create database " + databaseName, "create role " + daemonRole + " login"} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if d.conn, err = pgx.Connect(ctx, d.cluster.DSN(databaseName)); err != nil {
		return err
	}
	_, err = d.conn.Exec(ctx, `create table items (
		id text primary key, title text not null, content text not null, category text,
		updated_at timestamptz not null default now(), updated_by text not null default current_user)`)
	return err
}

// fill inserts the items with their initial labels.
func (d *database) fill(ctx context.Context, s story) error {
	rows := make([][]any, len(s.items))
	for i, it := range s.items {
		rows[i] = []any{it.ID, it.Title, it.Content, s.before(it)}
	}
	_, err := d.conn.CopyFrom(ctx, pgx.Identifier{"items"}, []string{"id", "title", "content", "category"},
		pgx.CopyFromRows(rows))
	return err
}

// run executes the SQL that `retraind init sql` printed.
func (d *database) run(ctx context.Context, sql string) error {
	_, err := d.conn.Exec(ctx, sql)
	return err
}

// edit applies the changes as ordinary updates in one author's name, in several transactions spread evenly over a
// duration.
func (d *database) edit(ctx context.Context, author string, changes []change, transactions int,
	over time.Duration,
) error {
	tick := time.NewTicker(max(over/time.Duration(transactions), time.Millisecond))
	defer tick.Stop()
	for i := range transactions {
		from, to := i*len(changes)/transactions, (i+1)*len(changes)/transactions
		tx, err := d.conn.Begin(ctx)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for _, c := range changes[from:to] {
			batch.Queue(`update items set category = $2, updated_at = now(), updated_by = $3 where id = $1`, c.id, c.label,
				author)
		}
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			_ = tx.Rollback(ctx)
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		d.changed.Add(int64(to - from))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func (d *database) close() error {
	if d.conn != nil {
		ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
		defer stop()
		_ = d.conn.Close(ctx)
	}
	return d.cluster.Stop()
}
