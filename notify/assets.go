package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The names of the stream and the bucket in JetStream.
const (
	Stream = "RETRAIND_EVENTS"
	Bucket = "retraind_models"
)

const subjects = "retraind.evt.v1.>"

// streamConfig is the configuration of a new stream. The duplicate window is as long as the longest expected outage,
// because the outbox may send an event again after an outage.
func streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: Stream, Description: "What retraind did", Subjects: []string{subjects},
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxAge: 90 * 24 * time.Hour, MaxMsgsPerSubject: 1000, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1,
		Duplicates: 24 * time.Hour, AllowDirect: true,
	}
}

// Assets creates the stream and the bucket if they are missing, and returns the bucket. It does not change existing
// ones; it returns an error if events cannot be stored in them.
func Assets(ctx context.Context, js jetstream.JetStream, log *slog.Logger) (jetstream.KeyValue, error) {
	stream, err := js.Stream(ctx, Stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if _, err := js.CreateStream(ctx, streamConfig()); err != nil {
			return nil, fmt.Errorf("create stream %s: %w", Stream, err)
		}
	case err != nil:
		return nil, fmt.Errorf("find stream %s: %w", Stream, err)
	default:
		if err := compatible(stream.CachedInfo().Config, log); err != nil {
			return nil, err
		}
	}
	bucket, err := js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: Bucket, Description: "What each model serves now", History: 20, Storage: jetstream.FileStorage,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", Bucket, err)
	}
	return bucket, nil
}

// compatible returns an error if a stream cannot store events. It accepts every limit that an operator may have chosen.
// If the duplicate window or the maximum age is shorter than retraind's, it logs both.
func compatible(have jetstream.StreamConfig, log *slog.Logger) error {
	if !slices.Contains(have.Subjects, subjects) {
		return fmt.Errorf("stream %s has the subjects %v, but not %s (add that subject, or rename the stream)", Stream,
			have.Subjects, subjects)
	}
	if have.NoAck {
		return fmt.Errorf("stream %s has no_ack set, so that stored events are never confirmed (switch no_ack off)", Stream)
	}
	if want := streamConfig(); have.Duplicates < want.Duplicates || have.MaxAge > 0 && have.MaxAge < want.MaxAge {
		log.Info("the limits of the event stream are lower than those that retraind sets", "stream", Stream,
			"duplicate_window", have.Duplicates, "max_age", have.MaxAge)
	}
	return nil
}
