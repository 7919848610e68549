package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgproto3"
)

// onCopyData handles one message of the stream.
func (s *stream) onCopyData(ctx context.Context, message *pgproto3.CopyData) error {
	if len(message.Data) == 0 {
		return errors.New("the server sent an empty replication message")
	}
	switch message.Data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		alive, err := pglogrepl.ParsePrimaryKeepaliveMessage(message.Data[1:])
		if err != nil {
			return err
		}
		if s.begin == nil && len(s.pending) == 0 {
			s.reached = max(s.reached, lsn(alive.ServerWALEnd))
		}
		switch {
		case alive.ReplyRequested && s.begin == nil && s.reached > s.at.LSN:
			return s.flush(ctx) // a stopping server waits until everything is confirmed
		case alive.ReplyRequested:
			return s.confirm(ctx, false)
		}
		return nil
	case pglogrepl.XLogDataByteID:
		data, err := pglogrepl.ParseXLogData(message.Data[1:])
		if err != nil {
			return err
		}
		parsed, err := pglogrepl.Parse(data.WALData)
		if err != nil {
			return fmt.Errorf("decode the log at %s: %w", data.WALStart, err)
		}
		return s.onMessage(ctx, parsed)
	}
	return nil
}

// onMessage handles one message of pgoutput.
func (s *stream) onMessage(ctx context.Context, message pglogrepl.Message) error {
	switch m := message.(type) {
	case *pglogrepl.BeginMessage:
		s.begin, s.visibleXID, s.ordinal, s.author, s.origin = m, 0, 0, "", ""
		return s.onBegin(m)
	case *pglogrepl.CommitMessage:
		s.begin, s.reached = nil, lsn(m.TransactionEndLSN)
		if len(s.pending) >= batchRows || s.size >= batchBytes {
			return s.flush(ctx)
		}
		return nil
	case *pglogrepl.LogicalDecodingMessage:
		switch m.Prefix {
		case "retraind.origin":
			s.origin = string(m.Content)
		case "retraind.author":
			s.author = string(m.Content)
		}
		return nil
	case *pglogrepl.RelationMessage:
		return s.onRelation(ctx, m)
	case *pglogrepl.TruncateMessage:
		if s.skip || s.relation == nil || !slices.Contains(m.RelationIDs, s.relation.id) {
			return nil
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
		if err := s.waitUntilVisible(ctx, []uint32{s.begin.Xid}); err != nil {
			return err
		}
		return &rereadError{reason: tableTruncated}
	case *pglogrepl.InsertMessage:
		return s.onRow(ctx, m.RelationID, true, nil, false, m.Tuple)
	case *pglogrepl.UpdateMessage:
		return s.onRow(ctx, m.RelationID, false, m.OldTuple, m.OldTupleType == pglogrepl.UpdateMessageTupleTypeOld,
			m.NewTuple)
	case *pglogrepl.DeleteMessage:
		return s.onRow(ctx, m.RelationID, false, m.OldTuple, m.OldTupleType == pglogrepl.DeleteMessageTupleTypeOld, nil)
	}
	return nil
}

// onBegin decides whether a transaction is skipped because it was read before, from the log or by a full read.
func (s *stream) onBegin(m *pglogrepl.BeginMessage) error {
	s.skip = lsn(m.FinalLSN) < s.at.LSN
	if s.at.Snapshot == "" || lsn(m.FinalLSN) >= s.at.Until {
		return nil
	}
	seen, err := parseSnapshot(s.at.Snapshot)
	if err != nil {
		return err
	}
	s.skip = s.skip || seen.holds(m.Xid)
	return nil
}

// onRelation stores the table's description. If the description changes during streaming, the table is inspected
// again. Pending changes are stored first, so that the inspection happens only once.
func (s *stream) onRelation(ctx context.Context, m *pglogrepl.RelationMessage) error {
	if m.Namespace != s.schema.ident[0] || m.RelationName != s.schema.ident[1] {
		return nil
	}
	next := newRelation(s.logReader, m)
	if s.relation != nil && !s.relation.same(next) {
		if err := s.flush(ctx); err != nil {
			return err
		}
		return &rereadError{}
	}
	s.relation = next
	return nil
}

// onRow handles a row change. The old tuple is nil for an insert and most updates, the new tuple (fresh) for a delete.
// `whole` means that the old tuple has all columns, not only those of the replica identity.
func (s *stream) onRow(ctx context.Context, id uint32, insert bool, old *pglogrepl.TupleData, whole bool,
	fresh *pglogrepl.TupleData,
) error {
	if s.relation == nil || id != s.relation.id {
		return nil // a row of another table that was added to the publication
	}
	if s.begin == nil {
		return errors.New("the server sent a row outside of a transaction")
	}
	s.ordinal++
	if s.skip || lsn(s.begin.FinalLSN) == s.at.Within && s.ordinal <= s.at.Done {
		return nil
	}
	if len(s.pending) == 0 {
		s.since = time.Now()
	}
	i := rowChange{
		insert: insert, commit: lsn(s.begin.FinalLSN), xid: s.begin.Xid, ordinal: s.ordinal,
		at: s.begin.CommitTime.UTC(), author: s.author, origin: s.origin,
	}
	i.old, i.fresh = s.relation.cells(old, whole), s.relation.cells(fresh, true)
	for k := range i.fresh {
		if i.old != nil && !i.fresh[k].known {
			i.fresh[k] = i.old[k] // a value that the new tuple omits is unchanged
		}
	}
	s.pending = append(s.pending, i)
	if s.size += i.size(); len(s.pending) >= batchRows || s.size >= batchBytes {
		return s.flush(ctx)
	}
	return nil
}
