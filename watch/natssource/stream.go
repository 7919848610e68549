package natssource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// openStream finds the stream of the events. On the embedded server what is missing is created: nobody else could.
func (n *session) openStream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := n.js.Stream(ctx, n.cfg.Stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && n.create:
		if err := n.createDeadLetterStream(ctx); err != nil {
			return nil, err
		}
		return n.js.CreateStream(ctx, n.labelStream(n.subjects()))
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, &watch.Fault{
			Key: "stream", Cause: fmt.Sprintf("NATS has no stream %s", n.cfg.Stream), Err: err,
			Cure: fmt.Sprintf("create it: nats stream add %s --subjects '%s' --storage file --defaults, or correct labels.nats.stream", n.cfg.Stream, n.cfg.Subject),
		}
	case err != nil:
		return nil, fmt.Errorf("stream %s: %w", n.cfg.Stream, err)
	}
	have := stream.CachedInfo().Config
	if slices.ContainsFunc(have.Subjects, func(s string) bool { return overlaps(s, n.cfg.Subject) }) {
		return stream, nil
	}
	if !n.create || have.Metadata[createdBy] == "" {
		return nil, &watch.Fault{
			Key: "subject", Cause: fmt.Sprintf("stream %s has no events on %s: its subjects are %v", n.cfg.Stream, n.cfg.Subject, have.Subjects),
			Cure: "add the subject to the stream, or correct labels.nats.subject",
		}
	}
	return n.js.UpdateStream(ctx, n.labelStream(append(have.Subjects, n.subjects()...)))
}

// createdBy marks the streams that retraind created.
const createdBy = "retraind.created"

// subjects are those that a stream of ours gets for this model.
func (n *session) subjects() []string {
	if overlaps(labelSubjects, n.cfg.Subject) {
		return []string{labelSubjects}
	}
	return []string{n.cfg.Subject}
}

// labelStream holds events until they are stored: what is stored is purged, which costs less than a work queue, whose
// every acknowledgement is a deletion. A full stream refuses new events, so that their sender learns of it.
func (n *session) labelStream(subjects []string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.cfg.Stream, Description: "label events on their way to retraind", Subjects: subjects, Storage: jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxBytes: 256 << 20, Duplicates: 10 * time.Minute,
		AllowDirect: true, Metadata: map[string]string{createdBy: "1"},
	}
}

// purge purges what is stored from a stream of ours.
func (n *session) purge(ctx context.Context) error {
	if n.stored == 0 || n.stream.CachedInfo().Config.Metadata[createdBy] == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	n.stored = 0
	return n.stream.Purge(ctx, jetstream.WithPurgeSubject(n.cfg.Subject), jetstream.WithPurgeSequence(n.mark.Seq+1))
}

// createDeadLetterStream makes the stream of the dead letters.
func (n *session) createDeadLetterStream(ctx context.Context) error {
	_, err := n.js.Stream(ctx, DefaultDeadStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = n.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: DefaultDeadStream, Description: "label events that retraind cannot take, with the reason", Subjects: []string{deadSubjects},
			Storage: jetstream.FileStorage, MaxMsgs: 10000, MaxBytes: 64 << 20, MaxAge: 90 * 24 * time.Hour, AllowDirect: true,
			Metadata: map[string]string{createdBy: "1"},
		})
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", DefaultDeadStream, err)
	}
	return nil
}

// deadLetter sends a message that cannot be taken to the dead letters, with the reason.
func (n *session) deadLetter(ctx context.Context, l message, reason string) error {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	place := fmt.Sprintf("%s:%d", n.cfg.Stream, l.seq)
	dead := &nats.Msg{Subject: n.cfg.DeadLetter, Data: l.data, Header: nats.Header{
		"Retraind-Reason": {oneLine(reason)}, "Retraind-Stream": {n.cfg.Stream}, "Retraind-Sequence": {fmt.Sprint(l.seq)},
		nats.MsgIdHdr: {fmt.Sprintf("%d:%d", n.mark.Created, l.seq)}, // a crash right after this must not bury it twice
	}}
	_, err := n.js.PublishMsg(ctx, dead)
	if errors.Is(err, nats.ErrMaxPayload) { // with our headers it is too large
		dead.Data = nil
		_, err = n.js.PublishMsg(ctx, dead)
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) { // no stream keeps dead letters: whoever listens gets it, and the log
		err = n.conn.PublishMsg(dead)
	}
	if err != nil {
		return fmt.Errorf("dead letter for %s: %w", place, err)
	}
	n.Refused(place, reason)
	return nil
}

// oneLine makes a reason fit for a header.
func oneLine(s string) string {
	const most = 1000
	if s = labelevent.WithoutControls(s); len(s) > most {
		s = s[:most]
	}
	return s
}

// explain turns an error of the server into a Fault.
func (s *Source) explain(err error) error {
	var fault *watch.Fault
	if err == nil || errors.As(err, &fault) || errors.Is(err, context.Canceled) {
		return err
	}
	if !s.conn.IsConnected() {
		return &watch.Fault{Cause: "NATS is not reachable" + lastError(s.conn), Cure: "is the server running, and is nats: correct?", Err: err}
	}
	if last := s.conn.LastError(); errors.Is(last, nats.ErrPermissionViolation) {
		return &watch.Fault{
			Cause: "NATS refuses what label events need: " + watch.OneLine(last), Err: err,
			Cure: fmt.Sprintf("allow the user to use $JS.API.> for stream %s, and to publish to %s", s.cfg.Stream, s.cfg.DeadLetter),
		}
	}
	var api *jetstream.APIError
	if errors.As(err, &api) || !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("NATS: %w", err)
	}
	return &watch.Fault{Cause: "NATS does not answer", Cure: "does the server have JetStream, and may this user use it?", Err: err}
}

// lastError is what the server said last.
func lastError(conn *nats.Conn) string {
	if err := conn.LastError(); err != nil {
		return ": " + watch.OneLine(err)
	}
	return ""
}

// Check asks a server whether it has a model's stream, with the configured subject.
func Check(ctx context.Context, conn *nats.Conn, model string, c *Config) check.Problems {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	js, err := jetstream.New(conn)
	if err == nil {
		n := &session{Source: &Source{cfg: c.WithDefaults(model)}, js: js}
		_, err = n.openStream(ctx)
	}
	return watch.ProblemOf(err)
}
