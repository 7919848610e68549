package evaluator

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/store"
)

// Hold is the stored reason why no run may start. It is set by a run that could not prove which release serves, or by
// a person.
type Hold struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at,omitzero"`
}

// OfRun reports whether the hold was set by a run that could not prove which release serves.
func (h *Hold) OfRun() bool { return strings.HasPrefix(h.By, "run ") }

func (h *Hold) String() string {
	text := "held"
	if h.By != "" {
		text += " by " + h.By
	}
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return text
}

// ReadHold returns the stored hold of a model, or nil if the model is not held.
func ReadHold(row store.Model) (*Hold, error) {
	if row.Hold == "" {
		return nil, nil //nolint:nilnil // no hold is no error
	}
	h := &Hold{}
	return h, json.Unmarshal([]byte(row.Hold), h)
}

// WriteHold holds a model.
func WriteHold(t *store.Tx, model string, h Hold) error {
	return t.SetModel(model, store.Hold, mustJSON(h))
}

// HeldError is returned for a request to start a run while the model is held. A person must clear the hold.
type HeldError struct {
	Model string
	Hold  *Hold
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("model %s is %s; once that is resolved, end the hold: retraind resume %[1]s", e.Model, e.Hold)
}

// CheckHold returns a *HeldError if the model is held.
func CheckHold(model string, row store.Model) error {
	h, err := ReadHold(row)
	if err != nil || h == nil {
		return err
	}
	return &HeldError{model, h}
}

// Pause converts a stored pause into the policy's type.
func Pause(p store.Pause) *policy.Hold {
	return &policy.Hold{By: p.By, Reason: p.Reason, Since: p.Since, Until: p.Until}
}

// ReadStops adds the holds and pauses of a model to the inputs of a decision.
func ReadStops(t *store.Tx, row store.Model, h *policy.History) error {
	held, err := ReadHold(row)
	if err != nil {
		return err
	}
	if held != nil {
		h.Held = &policy.Hold{By: held.By, Reason: held.Reason, Since: held.At}
	}
	pauses, err := t.Pauses(row.Name)
	for _, p := range pauses {
		if p.Model == store.Everything {
			h.Stopped = Pause(p)
		} else {
			h.Paused = Pause(p)
		}
	}
	return err
}
