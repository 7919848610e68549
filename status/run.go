package status

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// Run is one retraining as shown.
type Run struct {
	ID       string         `json:"id"`
	Model    string         `json:"model"`
	Pipeline string         `json:"pipeline"`
	Trigger  string         `json:"trigger"` // why, in one sentence
	Forced   bool           `json:"forced,omitempty"`
	State    store.RunState `json:"state"`
	Outcome  policy.Outcome `json:"outcome,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	// Why is the policy.Reason with which the run ended, if any: for example not_worse if the gate kept the champion,
	// gpu_held if the run did not get the GPU, window_closed, window_too_short or budget if it continues later,
	// probation_failed if it rolled back a release that failed its probation.
	Why string `json:"why,omitempty"`
	// Parent is the run that this one repeats, From the step with which it began.
	Parent string `json:"parent,omitempty"`
	From   string `json:"from,omitempty"`
	// Release is the candidate, once there is one, or the release that was rolled back.
	Release  string    `json:"release,omitempty"`
	Accuracy *Compared `json:"accuracy,omitempty"`
	// Targets are the comparisons of the targets that do not gate.
	Targets []ComparedTarget `json:"targets,omitempty"`
	// Figures are the measurements that the steps reported, by name, with the champion's value if it has the figure.
	Figures []Figure  `json:"figures,omitempty"`
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Steps   []Step    `json:"steps,omitempty"`
}

// Compared is the accuracy of champion and candidate on the same held-out items, as fractions in [0, 1].
type Compared struct {
	Before *float64 `json:"before,omitempty"` // nil: there was no champion
	After  float64  `json:"after"`
	Low    float64  `json:"low"`  // 95% interval of After
	High   float64  `json:"high"` // 95% interval of After
	N      int      `json:"n"`
}

// ComparedTarget compares champion and candidate in one target that does not gate.
type ComparedTarget struct {
	Name string `json:"name"`
	Compared
	Wins   int     `json:"wins"`   // only the candidate is right
	Losses int     `json:"losses"` // only the champion is right
	Margin float64 `json:"margin"` // points by which the candidate may be worse
}

// Figure is a measurement of a step of a run.
type Figure struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Champion *float64 `json:"champion,omitempty"`
}

// Step is one attempt of one step of a run. A waiting step has no Started.
type Step struct {
	Name    string          `json:"name"`
	Kind    string          `json:"kind,omitempty"`
	Attempt int             `json:"attempt,omitempty"`
	State   store.StepState `json:"state"`
	Detail  string          `json:"detail,omitempty"`
	Started time.Time       `json:"started,omitzero"`
	Ended   time.Time       `json:"ended,omitzero"`
	// Progress is the completed share in [0, 1] as reported by the step; nil if it reports none.
	Progress *float64 `json:"progress,omitempty"`
	// ProgressText is the step's text about its progress: "epoch 5 of 12".
	ProgressText string `json:"progress_text,omitempty"`
	// Ends is when the step itself expects to end.
	Ends time.Time `json:"ends,omitzero"`
}

// Left estimates the remaining time of a running step: until the time in Ends, if that is in the future, else
// extrapolated linearly from Progress. It reports false if the step does not run, or if it reports neither that time
// nor a share of at least 1%.
func (s Step) Left(now time.Time) (time.Duration, bool) {
	const least = 0.01
	if s.Ends.After(now) && s.Ended.IsZero() {
		return s.Ends.Sub(now), true
	}
	if s.Progress == nil || *s.Progress < least || s.Started.IsZero() || !s.Ended.IsZero() {
		return 0, false
	}
	return time.Duration(float64(span(s.Started, s.Ended, now)) * (1 - *s.Progress) / *s.Progress), true
}

// Seconds returns how long the step took, or has taken by now.
func (s Step) Seconds(now time.Time) float64 { return span(s.Started, s.Ended, now).Seconds() }

// Word returns the outcome of the run or, while it has none, its state.
func (r Run) Word() string { return cmp.Or(string(r.Outcome), string(r.State)) }

// Took returns how long the run took, or has taken by now.
func (r Run) Took(now time.Time) time.Duration { return span(r.Started, r.Ended, now) }

func span(from, to, now time.Time) time.Duration {
	switch {
	case from.IsZero():
		return 0
	case to.IsZero():
		return max(0, now.Sub(from))
	default:
		return max(0, to.Sub(from))
	}
}

// Release is one trained artifact of a model as shown.
type Release struct {
	Digest   string             `json:"digest"`
	Run      string             `json:"run"`
	State    store.ReleaseState `json:"state"`
	Created  time.Time          `json:"created"`
	Accuracy *Compared          `json:"accuracy,omitempty"` // as measured by its gate
	Pinned   *Pin               `json:"pinned,omitempty"`   // who pinned it, nil if it is not pinned
}

// Point is one evaluation in a model's history.
type Point struct {
	At       time.Time `json:"at"`
	Release  string    `json:"release,omitempty"`
	Accuracy float64   `json:"accuracy"`
	Low      float64   `json:"low"`
	High     float64   `json:"high"`
	N        int       `json:"n"`
}

// Event reports a change to clients that follow the daemon live.
type Event struct {
	ID    string          `json:"id"`
	Kind  string          `json:"kind"` // as in the catalogue of package notify, e.g. "model.deployed"
	Model string          `json:"model,omitempty"`
	Run   string          `json:"run,omitempty"`
	At    time.Time       `json:"at"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// Request is a request for a retraining.
type Request struct {
	Reason   string `json:"reason,omitempty"`
	Pipeline string `json:"pipeline,omitempty"` // "" = default
	// By is the author. On the socket the server sets it from the peer's credentials.
	By string `json:"by,omitempty"`
	// ID is the sender's id of the request: a second request with the same id gets the answer of the first. Optional.
	ID string `json:"id,omitempty"`
	// At is when the request was made; one that is too old or too far in the future is refused. Optional, default now.
	At time.Time `json:"at,omitzero"`
}

// MaxAhead is how far the clock of a request's sender may be ahead.
const MaxAhead = 5 * time.Minute

// Fresh refuses a request that is stale or from the future, and one whose id is too long to be stored.
func (r Request) Fresh(now time.Time) error {
	age := now.Sub(r.At)
	switch {
	case len(r.ID) > 256:
		return fmt.Errorf("%w: the request's id has %d bytes; at most 256 are allowed", errBadRequest, len(r.ID))
	case r.At.IsZero():
		return nil
	case age > policy.MaxRequestAge:
		return &Refusal{Code: 410, Text: fmt.Sprintf("the request is %s old, at most %s is accepted; send it again if it is still wanted",
			age.Round(time.Second), policy.MaxRequestAge)}
	case age < -MaxAhead:
		return &Refusal{Code: 410, Text: fmt.Sprintf("the request's time is %s ahead of the daemon's clock, at most %s is accepted; correct one of the clocks",
			(-age).Round(time.Second), MaxAhead)}
	}
	return nil
}

// Refusal is an ErrRefused with a code for programs: 409 a conflict, such as an active run, 410 the request's time is
// too old or too far in the future, 423 the model is held.
type Refusal struct {
	Code int
	Text string
}

func (r *Refusal) Error() string { return ErrRefused.Error() + ": " + r.Text }

// Is makes errors.Is(r, ErrRefused) true.
func (r *Refusal) Is(target error) bool { return target == ErrRefused }

// handed is the body of a request that sends label events over the socket.
type handed struct {
	Run    string `json:"run,omitempty"`
	Events []byte `json:"events"`
}

// Added counts what was done with the labels of a request.
type Added struct {
	watch.Receipt
	Rejected []labelevent.Refusal `json:"rejected,omitempty"`
}

// Triggered is the answer to a Request.
type Triggered struct {
	Run  string `json:"run"`
	Text string `json:"text"` // what happens next, in one sentence
}
