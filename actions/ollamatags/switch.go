package ollamatags

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/serving/ollama"
)

// SwitchInput is the input of the steps that give the name that clients ask for to a release.
type SwitchInput struct {
	Place
	// Want shall serve; nil for nothing: the name is taken away, where it stands for Refused.
	Want    *Release `json:"want,omitempty"`
	Refused string   `json:"refused,omitempty"` // digest of a release
	// Former names the release that served before, "" where it is not known: what serves is kept under a name of its own.
	Former string             `json:"former,omitempty"`
	Keep   int                `json:"keep"`
	Ask    ollama.ChatRequest `json:"ask"`
}

// Switched is how a switch went.
type Switched struct {
	Name    string   `json:"name"`             // that clients ask for
	Digest  string   `json:"digest"`           // of its manifest; "" where it was taken away
	Former  string   `json:"former,omitempty"` // the name under which what served before is kept
	Changed bool     `json:"changed"`          // the name stood for something else
	Busy    bool     `json:"busy,omitempty"`   // what served before is still answering requests, and stays in memory
	Size    int64    `json:"size"`             // bytes in memory
	VRAM    int64    `json:"vram"`             // of them on the GPU
	Pruned  []string `json:"pruned,omitempty"`
	Seconds float64  `json:"seconds"`
}

// NotOnGPUError says that what serves is not wholly on the GPU, as it was before.
type NotOnGPUError struct{ Size, VRAM int64 }

func (e *NotOnGPUError) Error() string {
	return fmt.Sprintf(
		"it serves, but only %.0f %% of it is on the GPU, where all of the former one was: something else has the memory (ollama ps, nvidia-smi), or the driver is away",
		100*float64(e.VRAM)/float64(max(e.Size, 1)),
	)
}

// copyRoom is what must be free before a name is written: on a full disk nothing would be left of the one that is there.
const copyRoom = 16 << 20

// drain is how long what served before may answer the requests that it has.
const drain = time.Minute

// Switch gives the name that clients ask for to a release. Both files stay pinned by names of their own meanwhile: of what
// a client asks in between, only the moment in which the server writes the name can fail. Entered again it goes on from
// what the server has.
func Switch(ctx context.Context, in SwitchInput, progress func(float64, string)) (out Switched, err error) {
	began := time.Now()
	c, err := ollama.New(in.URL)
	if err != nil {
		return out, err
	}
	defer c.Close()
	s, err := readState(in.State)
	if err != nil {
		return out, err
	}
	out.Name = ollama.Tagged(in.Model)
	if in.Want == nil {
		out.Changed, err = in.takeAway(ctx, c, s, out.Name)
		return out, err
	}
	var have map[string]string
	if err := insist(ctx, func() (err error) { have, err = names(ctx, c); return err }); err != nil {
		return out, err
	}
	var from string
	if from, out.Digest, err = in.find(ctx, c, &s, have, progress); err != nil {
		return out, err
	}
	served := have[out.Name]
	before, err := in.loaded(ctx, c, &s, served)
	if err != nil {
		return out, err
	}
	if out.Changed = served != out.Digest; !out.Changed {
		out.Former = s.of(in.Former)
	} else if out.Former, err = in.pin(ctx, c, &s, have, out.Name); err == nil {
		progress(0.3, "giving "+out.Name+" to the release")
		err = in.give(ctx, c, from, out)
	}
	if err != nil {
		return out, err
	}
	faults.Point("ollama given")
	progress(0.5, "unloading the former one")
	if out.Former != "" {
		if out.Busy, err = unload(ctx, c, out.Former, s.Names[out.Former].Digest); err != nil {
			return out, err
		}
	}
	progress(0.7, "asking "+out.Name)
	if err := in.ask(ctx, c, s, &out, before); err != nil {
		return out, err
	}
	out.Pruned, err = prune(ctx, c, in.Place, &s, in.Keep, []string{in.Want.Digest, in.Former})
	out.Seconds = time.Since(began).Seconds()
	return out, err
}

// find is the name of the release that shall serve, which is made again where it is gone, and the digest of its manifest.
func (in SwitchInput) find(ctx context.Context, c *ollama.Client, s *State, have map[string]string,
	progress func(float64, string),
) (name, digest string, err error) {
	// What served before the first release has a name that is no release's.
	if name = s.of(in.Want.Digest); name != "" && have[name] == s.Names[name].Digest {
		return name, have[name], nil
	}
	digest, err = in.ensure(ctx, c, s, *in.Want, progress)
	return ollama.ReleaseTag(in.Model, in.Want.Digest), digest, err
}

// pin keeps what serves under a name of its own, so that the server keeps its file, and returns that name; "" where
// nothing serves, or half a name.
func (in SwitchInput) pin(
	ctx context.Context,
	c *ollama.Client,
	s *State,
	have map[string]string,
	serving string,
) (string, error) {
	served := have[serving]
	if served == "" {
		return "", nil
	}
	if name := s.nameOf(served); name != "" && have[name] == served {
		return name, nil
	}
	release := in.Former
	if s.of(release) != "" { // that has a name of its own: it is something else that serves
		release = ""
	}
	name := formerName(in.Model, served)
	if err := in.room(copyRoom); err != nil {
		return "", err
	}
	if err := insist(ctx, func() error { return c.Copy(ctx, serving, name) }); err != nil {
		return "", fmt.Errorf("keep what serves as %s: %w", name, err)
	}
	s.Names[name] = Entry{Release: release, Digest: served, Made: time.Now().UTC()}
	return name, s.write(in.State)
}

// give copies the release's name to the one that clients ask for, and back again where that fails half way: the server
// writes a name in place.
func (in SwitchInput) give(ctx context.Context, c *ollama.Client, from string, out Switched) error {
	if err := in.room(copyRoom); err != nil {
		return err
	}
	err := insist(ctx, func() error {
		if err := c.Copy(ctx, from, out.Name); err != nil {
			return err
		}
		have, err := names(ctx, c)
		if err == nil && have[out.Name] != out.Digest {
			err = fmt.Errorf(
				"the Ollama server says that it copied %s to %s, and lists %q: does something else write this name?",
				from,
				out.Name,
				have[out.Name],
			)
		}
		return err
	})
	if err == nil || out.Former == "" || ctx.Err() != nil {
		return err
	}
	if back := c.Copy(ctx, out.Former, out.Name); back != nil {
		return errors.Join(err, fmt.Errorf("and the former one could not be put back: %w", back))
	}
	return err
}

// loaded is the entry of what serves in the list of loaded models, nil where it is not loaded. It notes whether it
// is on the GPU.
func (in SwitchInput) loaded(ctx context.Context, c *ollama.Client, s *State, served string) (*ollama.Running, error) {
	list, err := c.Running(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.Digest != served || served == "" {
			continue
		}
		was := s.GPU
		s.GPU = r.VRAM > 0 && (was || r.VRAM >= r.Size)
		if s.GPU != was {
			err = s.write(in.State)
		}
		return &r, err
	}
	return nil, nil
}

// unload lets a model leave memory once its requests are answered, and reports whether it is still busy with some.
func unload(ctx context.Context, c *ollama.Client, name, digest string) (busy bool, err error) {
	if err := insist(ctx, func() error { return c.Unload(ctx, name) }); err != nil {
		return false, err
	}
	for began := time.Now(); ; {
		list, err := c.Running(ctx)
		if err != nil && !passes(err) {
			return false, err
		}
		still := err != nil
		for _, r := range list {
			still = still || r.Digest == digest
		}
		if !still {
			return false, nil
		}
		if time.Since(began) > drain {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ask loads what serves now and looks where it lies. It keeps it loaded for as long as the former one would have been.
func (in SwitchInput) ask(ctx context.Context, c *ollama.Client, s State, out *Switched, before *ollama.Running) error {
	in.Ask.Model = out.Name
	if before != nil {
		left := ollama.KeepAlive(time.Until(before.Expires))
		switch {
		case left > ollama.KeepAlive(365*24*time.Hour):
			left = -1
		case left < ollama.KeepAlive(time.Minute):
			left = ollama.KeepAlive(time.Minute)
		}
		in.Ask.KeepAlive = &left
	}
	for try := 1; ; try++ {
		if err := insist(ctx, func() error { _, err := c.Chat(ctx, in.Ask); return err }); err != nil {
			return fmt.Errorf("%s does not answer: %w", out.Name, err)
		}
		list, err := c.Running(ctx)
		if err != nil {
			return err
		}
		for _, r := range list {
			if r.Digest == out.Digest {
				out.Size, out.VRAM = r.Size, r.VRAM
			}
		}
		switch {
		case !s.GPU || out.VRAM >= out.Size:
			return nil
		case try == 2:
			return &NotOnGPUError{Size: out.Size, VRAM: out.VRAM}
		}
		// It was loaded while the former one had the memory: once more.
		if _, err := unload(ctx, c, out.Name, out.Digest); err != nil {
			return err
		}
	}
}

// takeAway deletes the name that clients ask for, where it stands for the refused release: nothing served before.
func (in SwitchInput) takeAway(ctx context.Context, c *ollama.Client, s State, serving string) (bool, error) {
	have, err := names(ctx, c)
	if err != nil {
		return false, err
	}
	refused := s.Names[ollama.ReleaseTag(in.Model, in.Refused)].Digest
	if have[serving] == "" || have[serving] != refused {
		return false, nil
	}
	err = insist(ctx, func() error { return c.Delete(ctx, serving) })
	if errors.Is(err, ollama.ErrNotFound) {
		err = nil
	}
	return err == nil, err
}
