package ledger

import (
	"fmt"
	"time"

	"github.com/retraind/retraind/internal/text"
)

// Kind is the kind of a thing that can be stopped.
type Kind string

// The kinds.
const (
	KindContainer Kind = "container" // of a compose service
	KindUnit      Kind = "unit"      // of systemd
	KindModel     Kind = "model"     // loaded by Ollama
)

// Run is the run that stops a thing.
type Run struct {
	ID    string `json:"run"`
	Model string `json:"model"`
	Dir   string `json:"run_dir"` // directory of the run; its entries are not due while one of the run's supervisors lives
	// UntilEnd means that a step has stopped the thing until the end of the run; otherwise it is stopped only during the
	// steps that need the GPU.
	UntilEnd bool `json:"until_end,omitempty"`
}

// Thing is something that was running, with what is needed to start it again. Exactly one of Container, Unit and Loaded
// is set.
type Thing struct {
	Kind Kind `json:"kind"`
	// Healthy is a URL that answers with 2xx once the thing works again; if empty, it is enough that the thing runs.
	Healthy   string     `json:"healthy,omitempty"`
	Container *Container `json:"container,omitempty"`
	Unit      *Unit      `json:"unit,omitempty"`
	Loaded    *Loaded    `json:"loaded,omitempty"`
}

// Container is a container that was running.
type Container struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Image   string    `json:"image"`   // id: sha256:…
	Project string    `json:"project"` // name of the compose project
	Service string    `json:"service"`
	Dir     string    `json:"dir"` // directory of the compose file
	Policy  string    `json:"restart_policy"`
	Started time.Time `json:"started"`         // identifies the instance: a later start is another one
	Ports   []int     `json:"ports,omitempty"` // published on the host
	// OnGPU means that the container used GPU memory, and should use it again.
	OnGPU bool `json:"on_gpu,omitempty"`
	// Grace is the stop timeout, after which the engine kills the container.
	Grace time.Duration `json:"grace"`
}

// Unit is a systemd unit that was active.
type Unit struct {
	Name       string `json:"name"`
	State      string `json:"state"`      // active or reloading
	Invocation string `json:"invocation"` // identifies the instance
}

// Loaded is a model that Ollama had in memory.
type Loaded struct {
	URL    string        `json:"url"` // of the Ollama server
	Name   string        `json:"name"`
	Digest string        `json:"digest"`
	Left   time.Duration `json:"keep_alive"` // what was left of its keep-alive; negative: forever
	// OnGPU means that the whole model was in GPU memory, where it must be loaded again.
	OnGPU bool `json:"on_gpu,omitempty"`
}

// String names the thing, for people.
func (t Thing) String() string {
	switch {
	case t.Container != nil && t.Container.Service != "":
		return "compose service " + t.Container.Project + "/" + t.Container.Service
	case t.Container != nil:
		return "container " + t.Container.Name
	case t.Unit != nil:
		return "unit " + t.Unit.Name
	case t.Loaded != nil:
		return "Ollama model " + t.Loaded.Name
	}
	return "nothing"
}

// Return describes how the thing will be started again.
func (t Thing) Return() string {
	how := ""
	switch {
	case t.Container != nil:
		how = "start container " + t.Container.Name + " (" + short(t.Container.ID) + ")"
		if t.Healthy == "" {
			how += ", and wait until it runs and its health check, if it has one, succeeds"
		}
	case t.Unit != nil:
		how = "start the unit, and wait until it is active"
	case t.Loaded != nil && t.Loaded.Left < 0:
		how = "load the model, without a time limit"
	case t.Loaded != nil:
		how = "load the model for its remaining keep-alive, " + t.Loaded.Left.String()
	}
	if t.Healthy != "" {
		how += ", and wait until " + text.URL(t.Healthy) + " answers"
	}
	return how
}

// Key identifies the thing: entries about the same thing have the same key.
func (t Thing) Key() string {
	switch {
	case t.Container != nil:
		return "container " + t.Container.ID
	case t.Unit != nil:
		return "unit " + t.Unit.Name
	case t.Loaded != nil:
		return "model " + t.Loaded.URL + " " + t.Loaded.Name + " " + t.Loaded.Digest
	}
	return ""
}

// stopTime returns how long a stop of the thing can take; 0 if that is unknown, or if Look can detect a stop in
// progress for this kind.
func (t Thing) stopTime() time.Duration {
	if t.Container != nil {
		return t.Container.Grace
	}
	return 0
}

// valid checks that an entry from disk names a thing.
func (t Thing) valid() error {
	if t.Key() == "" {
		return fmt.Errorf("it names no container, unit or model (kind %q)", t.Kind)
	}
	return nil
}

// Entry is one thing to restore.
type Entry struct {
	ID string `json:"id"` // file name without .json
	Run
	N       int       `json:"n"` // position in the run's order of stopping
	Stopped time.Time `json:"stopped"`
	// Settled is the time after which the stop has certainly ended. Until then a stop may be in progress even if the
	// process that requested it is dead.
	Settled time.Time `json:"settled"`
	// Back is the time at which the restore began; zero before.
	Back time.Time `json:"back,omitzero"`
	// Problem is why the thing is not restored yet; empty before the first attempt.
	Problem string `json:"problem,omitempty"`
	Thing
}
