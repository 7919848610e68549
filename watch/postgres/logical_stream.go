package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/retraind/retraind/watch"
)

const (
	// lingerStream is how long the changes of a transaction wait for another transaction, to be stored together.
	lingerStream = time.Millisecond
	// lingerMax bounds this wait under a steady stream.
	lingerMax = 5 * time.Millisecond
	// idleStoreInterval is how often the position is stored while other tables fill the log, so that the server may
	// remove old log files.
	idleStoreInterval = 10 * time.Second
	// slotBusyTimeout is how long the slot may stay busy after the previous connection ended.
	slotBusyTimeout = 5 * time.Second
)

// stream is one connection that streams the log.
type stream struct {
	*logReader
	repl       *pgconn.PgConn
	relation   *relation // the table as the log describes it now
	begin      *pglogrepl.BeginMessage
	skip       bool   // the transaction was read before
	visibleXID uint32 // id of the transaction once its commit is visible; 0 before that
	ordinal    int    // rows of the transaction so far
	author     string // of the transaction, from a logical message in it
	origin     string
	reached    lsn // transactions that committed before it were received: they are stored or pending
	stored     time.Time
	heard      time.Time // when the last message of the server arrived
	pending    []rowChange
	size       int
	since      time.Time     // when the first pending change arrived
	rest       time.Duration // pause before the next message, when many arrive
}

// stream follows the log. It ends with a *rereadError when the table must be read or inspected again.
func (d *logReader) stream(ctx context.Context, slot string, onUp func()) error {
	repl, err := d.replication(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := repl.Close(closing); err != nil {
			d.Log.Debug("close the connection", "err", err)
		}
	}()
	options := pglogrepl.StartReplicationOptions{PluginArgs: []string{
		"proto_version '1'",
		"publication_names " + literal(ident(d.schema.publication())),
	}}
	if majorVersion(repl) == "13" {
		d.Log.Debug("PostgreSQL 13 does not stream logical messages: origins are unknown")
	} else {
		options.PluginArgs = append(options.PluginArgs, "messages 'true'")
	}
	err = d.whileBusy(ctx, func() error {
		return pglogrepl.StartReplication(ctx, repl, ident(slot), pglogrepl.LSN(d.at.LSN), options)
	})
	if err != nil {
		return err
	}
	onUp()
	now := time.Now()
	s := &stream{logReader: d, repl: repl, reached: d.at.LSN, stored: now, heard: now}
	return s.run(ctx)
}

func majorVersion(conn *pgconn.PgConn) string {
	major, _, _ := strings.Cut(conn.ParameterStatus("server_version"), ".")
	return major
}

// whileBusy reruns f, for at most slotBusyTimeout, while the slot is in use. An earlier connection of retraind may
// still use it, because the server has not noticed yet that the connection has ended.
func (d *logReader) whileBusy(ctx context.Context, f func() error) error {
	deadline := time.Now().Add(slotBusyTimeout)
	for {
		err := f()
		var server *pgconn.PgError
		if !errors.As(err, &server) || server.Code != "55006" {
			return err
		}
		if time.Now().After(deadline) {
			return &watch.Fault{
				Cause: "another connection reads the replication slot: " + server.Message,
				Cure: "is there a second retraind for this table? " +
					"The server ends retraind's own former connection within 20 s",
				Err: err,
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *stream) run(ctx context.Context) error {
	for {
		wait := pingEvery
		if s.begin == nil && len(s.pending) > 0 {
			if wait = lingerStream; time.Since(s.since) > lingerMax {
				wait = 0
			}
		}
		message, err := s.receive(ctx, wait)
		if err != nil {
			return err
		}
		switch {
		case message == nil && s.begin == nil && len(s.pending) > 0:
			s.rest = min(lingerMost, time.Duration(len(s.pending))*lingerRow)
			err = s.flush(ctx)
		case message == nil:
			err = s.checkAlive(ctx)
		default:
			s.heard = time.Now()
			err = s.onCopyData(ctx, message)
		}
		if err == nil && s.begin == nil && len(s.pending) == 0 {
			err = s.storeIdlePosition(ctx)
		}
		if err == nil && s.rest > lingerStream {
			// At thousands of messages a second, pause and read many at once: this leaves CPU time to the server's
			// writers.
			err = pause(ctx, s.rest)
		}
		if s.rest = 0; err != nil {
			return err
		}
	}
}

// receive waits for a message of the stream. It returns nil if none arrived in time.
func (s *stream) receive(ctx context.Context, wait time.Duration) (*pgproto3.CopyData, error) {
	if wait == 0 {
		return nil, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	message, err := s.repl.ReceiveMessage(limited)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case pgconn.Timeout(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	switch m := message.(type) {
	case *pgproto3.CopyData:
		return m, nil
	case *pgproto3.ErrorResponse:
		return nil, pgconn.ErrorResponseToPgError(m)
	case *pgproto3.CopyDone:
		return nil, errors.New("the server ended the replication stream")
	}
	return nil, nil
}

// checkAlive pings a silent server. A server that decodes a large transaction of other tables may not answer on this
// connection. Then it must answer on the connection for queries.
func (s *stream) checkAlive(ctx context.Context) error {
	if time.Since(s.heard) < pingEvery {
		return nil
	}
	if time.Since(s.heard) < 2*pingEvery {
		return s.confirm(ctx, true)
	}
	s.heard = time.Now()
	limited, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.conn.Ping(limited)
}

// confirm acknowledges the stored position to the server, which may then remove older log.
func (s *stream) confirm(ctx context.Context, reply bool) error {
	return pglogrepl.SendStandbyStatusUpdate(ctx, s.repl, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: pglogrepl.LSN(max(s.reached, s.at.LSN)), WALFlushPosition: pglogrepl.LSN(s.at.LSN),
		WALApplyPosition: pglogrepl.LSN(s.at.LSN), ReplyRequested: reply,
	})
}

// storeIdlePosition checks the schema, and stores the position periodically even if the table does not change.
func (s *stream) storeIdlePosition(ctx context.Context) error {
	if err := s.checkSchema(ctx); err != nil {
		return err
	}
	if s.reached <= s.at.LSN || time.Since(s.stored) < idleStoreInterval {
		return nil
	}
	return s.flush(ctx)
}

// flush stores the pending changes with the position after them, and confirms that position to the server.
func (s *stream) flush(ctx context.Context) error {
	changes, err := s.changes(ctx, s.pending)
	if err != nil {
		return err
	}
	next := s.at
	if s.reached > next.LSN {
		next.LSN, next.Within, next.Done = s.reached, 0, 0
	}
	if s.begin != nil && !s.skip && s.ordinal > 0 {
		next.Within, next.Done = lsn(s.begin.FinalLSN), s.ordinal
	}
	if next.LSN >= next.Until {
		next.Snapshot, next.Until = "", 0
	}
	if err := s.sink.Append(ctx, s.Name(), changes, next.String()); err != nil {
		return &sinkError{"store label changes", err}
	}
	s.at, s.pending, s.size, s.stored = next, nil, 0, time.Now()
	if len(changes) > 0 {
		s.Stored(watch.Receipt{Taken: len(changes)})
	}
	return s.confirm(ctx, false)
}
