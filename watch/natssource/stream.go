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
)

// openStream finds the stream of the events. On the embedded server it creates a missing stream and adds missing
// subjects, because no other client may do so there.
func (n *session) openStream(ctx context.Context) (jetstream.Stream, error) {
	// This first request has a separate timeout, because a server that has just stopped leaves it unanswered.
	first, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	stream, err := n.js.Stream(first, n.cfg.Stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound) && n.create:
		if err := n.createDeadLetterStream(ctx); err != nil {
			return nil, err
		}
		return n.js.CreateStream(ctx, n.labelStream(n.subjects()))
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, &watch.Fault{
			Key: "stream", Cause: fmt.Sprintf("NATS has no stream %s", n.cfg.Stream), Err: err,
			Cure: fmt.Sprintf("create it: nats stream add %s --subjects '%s' --storage file --defaults, or correct labels.nats.stream",
				n.cfg.Stream, n.cfg.Subject),
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
			Key: "subject", Cause: fmt.Sprintf("stream %s does not store the subject %s: its subjects are %v", n.cfg.Stream,
				n.cfg.Subject, have.Subjects),
			Cure: "add the subject to the stream, or correct labels.nats.subject",
		}
	}
	return n.js.UpdateStream(ctx, n.labelStream(append(have.Subjects, n.subjects()...)))
}

// createdBy marks the streams that retraind created.
const createdBy = "retraind.created"

// subjects returns the subjects of a stream that retraind creates for this model.
func (n *session) subjects() []string {
	if overlaps(labelSubjects, n.cfg.Subject) {
		return []string{labelSubjects}
	}
	return []string{n.cfg.Subject}
}

// labelStream returns the configuration of a stream that keeps events until they are stored. Stored events are purged
// in bulk, which costs less than a work queue, in which each acknowledgement is a deletion. A full stream refuses new
// events, so that the sender gets an error.
func (n *session) labelStream(subjects []string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.cfg.Stream, Description: "label events on their way to retraind", Subjects: subjects,
		Storage:   jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, MaxBytes: 256 << 20, Duplicates: 10 * time.Minute,
		AllowDirect: true, Metadata: map[string]string{createdBy: "1"},
	}
}

// purge removes stored events from a stream that retraind created.
func (n *session) purge(ctx context.Context) error {
	if n.stored == 0 || n.stream.CachedInfo().Config.Metadata[createdBy] == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	n.stored = 0
	return n.stream.Purge(ctx, jetstream.WithPurgeSubject(n.cfg.Subject), jetstream.WithPurgeSequence(n.mark.Seq+1))
}

// Check reports a model's stream that the server lacks, or whose subjects do not include the configured one.
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
