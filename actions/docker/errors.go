package docker

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// The kinds of errors, to compare with errors.Is.
var (
	// ErrAway: no engine answers. That may be temporary.
	ErrAway = errors.New("the Docker engine does not answer")
	// ErrTooOld: the engine is older than 20.10.
	ErrTooOld = errors.New("the Docker engine is too old")
	// ErrDenied: this user may not use the engine, or retraind's docker helper (package guard) refuses the action.
	ErrDenied = errors.New("the Docker engine may not be used")
	// ErrNotFound: there is no such container or image.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the present state prevents the operation; for example, a container uses the image to remove.
	ErrConflict = errors.New("conflict")
	// ErrAnswer: the engine failed, or its answer cannot be used.
	ErrAnswer = errors.New("the Docker engine failed")
)

// Error is a failed request.
type Error struct {
	Op     string // the operation, such as "stop container 4f2a"
	Kind   error  // one of the errors above
	Detail string // the engine's message, and the remedy
}

func (e *Error) Error() string {
	text := "docker: " + e.Op + ": " + e.Kind.Error()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// refused returns the error for an answer with an error status.
func refused(op string, resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct{ Message string }
	if json.Unmarshal(body, &said) != nil {
		said.Message = strings.TrimSpace(string(body))
	}
	kind := ErrAnswer
	switch resp.StatusCode {
	case http.StatusNotFound:
		kind = ErrNotFound
	case http.StatusConflict:
		kind = ErrConflict
	case http.StatusForbidden, http.StatusUnauthorized:
		kind = ErrDenied
	}
	return &Error{Op: op, Kind: kind, Detail: said.Message}
}
