package notify

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/retraind/retraind/internal/refusals"
)

// serverLog forwards the server's log to slog, except debug and trace messages, and keeps its last fatal message.
// It counts the messages that clients can cause at a high rate, and logs only the first and the end of each series.
type serverLog struct {
	log   *slog.Logger
	conns *refusals.Series // connections refused at the limit
	auth  *refusals.Series // clients without a credential, and requests beyond a client's permissions
	fatal atomic.Pointer[string]
}

func newServerLog(log *slog.Logger, refused func(what string)) *serverLog {
	count := func(what string) func() {
		return func() {
			if refused != nil {
				refused(what)
			}
		}
	}
	return &serverLog{
		log:   log,
		conns: refusals.New("a client of the broker is at the limit: connection refused", count("connection"), log),
		auth:  refusals.New("a client of the broker has no permission", count("permission"), log),
	}
}

func (l *serverLog) Noticef(f string, v ...any) { l.log.Debug(fmt.Sprintf(f, v...)) }
func (l *serverLog) Warnf(f string, v ...any)   { l.log.Warn(fmt.Sprintf(f, v...)) }
func (l *serverLog) Debugf(f string, v ...any)  {}
func (l *serverLog) Tracef(f string, v ...any)  {}

func (l *serverLog) Errorf(f string, v ...any) {
	text := fmt.Sprintf(f, v...)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(strings.ToLower(text), part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("maximum connections exceeded"):
		l.conns.Refused("cause", text)
	case has("authentication", "authorization", " violation"):
		l.auth.Refused("cause", text)
	default:
		l.log.Error(text)
	}
}

func (l *serverLog) Fatalf(f string, v ...any) {
	text := fmt.Sprintf(f, v...)
	l.fatal.Store(&text)
	l.log.Error(text)
}
