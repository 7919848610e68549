package ledger

import (
	"fmt"
	"time"
)

// Kind is the kind of a thing that can be stopped.
type Kind string

// The kinds.
const (
	KindContainer Kind = "container" // of a compose service
	KindUnit      Kind = "unit"      // of systemd
	KindModel     Kind = "model"     // loaded by Ollama
)

// Run is the run that stops something.
type Run struct {
	ID    string `json:"run"`
	Model string `json:"model"`
	Dir   string `json:"run_dir"` // of the run: nothing is due while a supervisor of its steps lives
	// UntilEnd: a step has set it aside until the end of the run; otherwise it is for the steps that need the GPU.
	UntilEnd bool `json:"until_end,omitempty"`
}

// Thing is something that ran, with what is needed to start it again. Exactly one of Container, Unit and Loaded is
// set.
type Thing struct {
	Kind Kind `json:"kind"`
	// Healthy is a URL that answers with 2xx once the thing works again; empty if its state is enough.
	Healthy   string     `json:"healthy,omitempty"`
	Container *Container `json:"container,omitempty"`
	Unit      *Unit      `json:"unit,omitempty"`
	Loaded    *Loaded    `json:"loaded,omitempty"`
}

// Container is a container that ran.
type Container struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Image   string    `json:"image"`   // digest
	Project string    `json:"project"` // of compose
	Service string    `json:"service"`
	Dir     string    `json:"dir"` // of the compose file
	Policy  string    `json:"restart_policy"`
	Started time.Time `json:"started"`         // names the instance: a later start is another one
	Ports   []int     `json:"ports,omitempty"` // on the host
	// OnGPU says that it had memory on a GPU, which it should have again.
	OnGPU bool `json:"on_gpu,omitempty"`
	// Grace is how long it may take to stop before the engine kills it.
	Grace time.Duration `json:"grace"`
}

// Unit is a unit of systemd that was active.
type Unit struct {
	Name       string `json:"name"`
	State      string `json:"state"`      // active or reloading
	Invocation string `json:"invocation"` // names the instance
}

// Loaded is a model that Ollama had in memory.
type Loaded struct {
	URL    string        `json:"url"` // of the server
	Name   string        `json:"name"`
	Digest string        `json:"digest"`
	Left   time.Duration `json:"keep_alive"` // the rest of its time in memory; negative: for ever
	// OnGPU means that it was completely on the GPU, where it must be loaded again.
	OnGPU bool `json:"on_gpu,omitempty"`
}

// String names the thing for a person.
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

// Return describes how the thing is started again.
func (t Thing) Return() string {
	text := ""
	switch {
	case t.Container != nil:
		text = "start of container " + t.Container.Name + " (" + short(t.Container.ID) + ")"
		if t.Healthy == "" {
			text += ", which must run, and be healthy by its own check"
		}
	case t.Unit != nil:
		text = "start of the unit, which must be active"
	case t.Loaded != nil && t.Loaded.Left < 0:
		text = "loading, to stay"
	case t.Loaded != nil:
		text = "loading, for the " + t.Loaded.Left.String() + " that are left"
	}
	if t.Healthy != "" {
		text += ", until " + t.Healthy + " answers"
	}
	return text
}

// Key is the same for entries about one thing.
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

// stopTime returns the maximum duration of its stop, if that is known and nothing else shows that it is in progress.
func (t Thing) stopTime() time.Duration {
	if t.Container != nil {
		return t.Container.Grace
	}
	return 0
}

// valid finds what an entry lacks, for one that was read.
func (t Thing) valid() error {
	if t.Key() == "" {
		return fmt.Errorf("it names no container, unit or model (kind %q)", t.Kind)
	}
	return nil
}

// Entry is one thing to restore.
type Entry struct {
	ID string `json:"id"` // name of its file, without .json
	Run
	N       int       `json:"n"` // counts the entries of a run, in the order in which things are stopped
	Stopped time.Time `json:"stopped"`
	// Settled is when a stop has certainly taken effect: until then it may be in progress although its process is dead.
	Settled time.Time `json:"settled"`
	// Back is when the restore began; zero before.
	Back time.Time `json:"back,omitzero"`
	// Problem is why it is not restored yet.
	Problem string `json:"problem,omitempty"`
	Thing
}
