package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// ErrAsleep means that the service cannot be reached, or answers that it has no model or is too busy. Texts without an
// answer do not count as wrong.
var ErrAsleep = errors.New("the classifier does not answer")

// ErrService means that the service answers too late, incompletely, or not as configured.
var ErrService = errors.New("the classifier's answer cannot be used")

// transportError returns the error of a request without an answer: ErrAsleep if the service is unreachable, the cause
// of ctx if the caller cancelled, and a ServiceError otherwise, for example if the service is slow.
func transportError(ctx context.Context, url string, err error, timeout time.Duration) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", url, context.Cause(ctx))
	}
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens at %s; start the service, or correct its URL under serving", ErrAsleep, url)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return fmt.Errorf("%w: no route to the host of %s; is it switched off?", ErrAsleep, url)
	case errors.As(err, &dns):
		return fmt.Errorf("%w: the host name of %s is unknown (%v); correct the URL or the name service", ErrAsleep, url,
			dns.Err)
	case isDial(err):
		return fmt.Errorf("%w: no connection to %s: %v", ErrAsleep, url, rootCause(err))
	case errors.As(err, &network) && network.Timeout():
		return slow(url, timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return &ServiceError{
			URL: url,
			Cause: fmt.Errorf("the service closed the connection in the middle of an answer (%v): did it crash or restart?",
				rootCause(err)),
		}
	}
	return &ServiceError{URL: url, Cause: rootCause(err)}
}

func slow(url string, timeout time.Duration) error {
	return &ServiceError{
		URL: url,
		Cause: fmt.Errorf("no answer within %v: the service is overloaded or hangs; "+
			"raise serving.timeout or lower serving.concurrency", timeout),
	}
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// statusError returns ErrAsleep for status 503, which a service without a loaded model sends, and a ServiceError for
// another status.
func statusError(url string, status int, body []byte, about string) error {
	if status == http.StatusServiceUnavailable {
		return fmt.Errorf("%w: %s returns status 503 %s; the service has no model loaded, or is still starting",
			ErrAsleep, url, Excerpt(body))
	}
	hint := "see the service's log"
	switch {
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		hint = "is the URL right?"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		hint = "the service requires a login"
	case status >= 400 && status < 500:
		hint = "does the service expect other field names? see serving.fields"
	}
	return &ServiceError{
		URL: url, Status: status, About: about,
		Cause: fmt.Errorf("status %d %s: %s", status, Excerpt(body), hint),
	}
}

// ServiceError is a missing or unusable answer of a service that can be reached, with the cause and what to check.
type ServiceError struct {
	URL    string
	Status int    // HTTP status, 0 if there was none
	About  string // the item or items that the request is about; may be empty
	Cause  error
}

func (e *ServiceError) Error() string {
	if e.About != "" {
		return fmt.Sprintf("%s at %s: %v", e.About, e.URL, e.Cause)
	}
	return fmt.Sprintf("%s: %v", e.URL, e.Cause)
}

// Unwrap makes errors.Is(err, ErrService) true.
func (e *ServiceError) Unwrap() []error { return []error{ErrService, e.Cause} }
