package status

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// errBusy is the error of a request beyond the concurrency limit.
var errBusy = errors.New("busy")

// writePatience is how long a client may take to read a part of an answer.
const writePatience = 30 * time.Second

// bounded keeps requests with bodies within the guard's limits and disconnects clients that do not read their answer.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer working(r.Context())()
		out := patient{w, http.NewResponseController(w)}
		defer out.extend()
		if r.ContentLength != 0 {
			release, ok := hold(r.Context(), heldBody)
			if !ok {
				writeError(out, fmt.Errorf("%w: too many requests with a body are in progress; try again later", errBusy))
				return
			}
			defer release()
		}
		next.ServeHTTP(out, r)
	})
}

// patient is a writer that renews the deadline with each write: an answer may take long, but the client must keep
// reading.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p patient) extend() { _ = p.control.SetWriteDeadline(time.Now().Add(writePatience)) }

func (p patient) WriteHeader(code int) {
	p.extend()
	p.ResponseWriter.WriteHeader(code)
}

func (p patient) Write(b []byte) (int, error) {
	p.extend()
	return p.ResponseWriter.Write(b)
}

// Unwrap returns the wrapped writer, whose deadlines http.ResponseController sets.
func (p patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
