package natssource

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/retraind/retraind/watch"
)

// explain turns an error of the server into a Fault if the cause is known. It returns a Fault, context.Canceled and an
// error of the inbox unchanged.
func (s *Source) explain(err error) error {
	var fault *watch.Fault
	if err == nil || errors.As(err, &fault) || errors.Is(err, context.Canceled) ||
		errors.As(err, new(*inboxError)) {
		return err
	}
	if !s.conn.IsConnected() {
		return &watch.Fault{
			Cause: "NATS is not reachable" + lastError(s.conn),
			Cure:  "is the server running, and is nats: correct?", Err: err,
		}
	}
	if last := s.conn.LastError(); errors.Is(last, nats.ErrPermissionViolation) && s.needs(last) {
		return &watch.Fault{
			Cause: "NATS refuses a permission that label events need: " + watch.OneLine(last), Err: err,
			Cure: fmt.Sprintf("allow the user to publish to $JS.API.> and $JS.ACK.> for stream %s, and to %s", s.cfg.Stream,
				s.cfg.DeadLetter),
		}
	}
	var api *jetstream.APIError
	if errors.As(err, &api) || !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("NATS: %w", err)
	}
	return &watch.Fault{
		Cause: "NATS does not answer", Cure: "does the server have JetStream, and may this user use it?",
		Err: err,
	}
}

// needs reports whether a permission that the server has refused is one that label events need. The connection has other
// users, and keeps its last error.
func (s *Source) needs(refused error) bool {
	for _, subject := range []string{"$JS.", "_INBOX.", s.cfg.DeadLetter} {
		if strings.Contains(refused.Error(), `"`+subject) {
			return true
		}
	}
	return false
}

// lastError returns the connection's last error as the end of a sentence, or "" if there was none.
func lastError(conn *nats.Conn) string {
	if err := conn.LastError(); err != nil {
		return ": " + watch.OneLine(err)
	}
	return ""
}
