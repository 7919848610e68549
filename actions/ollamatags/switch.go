package ollamatags

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/internal/faults"
	"github.com/retraind/retraind/serving/ollama"
)

// SwitchInput is the input of the steps that make the name that clients use refer to a release.
type SwitchInput struct {
	Place
	// Want is the release to put into service. Nil removes the name, if it refers to Refused.
	Want    *Release `json:"want,omitempty"`
	Refused string   `json:"refused,omitempty"` // digest of a release
	// Former is the digest of the release that served before, "" if unknown. The model in service is kept under an
	// additional name in either case.
	Former string             `json:"former,omitempty"`
	Keep   int                `json:"keep"`
	Ask    ollama.ChatRequest `json:"ask"`
}

// Switched is the result of a switch.
type Switched struct {
	Name    string   `json:"name"`             // the name that clients use
	Digest  string   `json:"digest"`           // digest of its manifest; "" if the name was removed
	Former  string   `json:"former,omitempty"` // the name that keeps the former model
	Changed bool     `json:"changed"`          // the name referred to another manifest before
	Busy    bool     `json:"busy,omitempty"`   // the former model is still answering requests, and stays in memory
	Size    int64    `json:"size"`             // bytes in memory
	VRAM    int64    `json:"vram"`             // of these, on the GPU
	Pruned  []string `json:"pruned,omitempty"`
	Seconds float64  `json:"seconds"`
}

// NotOnGPUError means that the model in service is not completely on the GPU, although the former one was.
type NotOnGPUError struct{ Size, VRAM int64 }

func (e *NotOnGPUError) Error() string {
	return fmt.Sprintf(
		"the model serves, but only %.0f%% of it is on the GPU, and the former model was there completely: another program uses the GPU memory (ollama ps, nvidia-smi), or the driver does not answer",
		100*float64(e.VRAM)/float64(max(e.Size, 1)),
	)
}

// copyRoom is the free space, in bytes, that is required to write a name: on a full disk a copy would destroy the
// existing name.
const copyRoom = 16 << 20

// drain is how long to wait for the former model to finish its requests.
const drain = time.Minute

// Switch makes the name that clients use refer to a release. Meanwhile both models have a second name, so that the
// server keeps their files, and a request can fail only while the server writes the name. A repeated call continues
// from the server's state.
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
		progress(0.3, "switching "+out.Name+" to the release")
		err = in.give(ctx, c, from, out)
	}
	if err != nil {
		return out, err
	}
	faults.Point("ollama given")
	progress(0.5, "unloading the former model")
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

// find returns the name of the release to put into service, and the digest of its manifest. It creates the name again
// if it is missing.
func (in SwitchInput) find(ctx context.Context, c *ollama.Client, s *State, have map[string]string,
	progress func(float64, string),
) (name, digest string, err error) {
	// Search the record: the name of the model that served before the first release does not contain a release's digest.
	if name = s.of(in.Want.Digest); name != "" && have[name] == s.Names[name].Digest {
		return name, have[name], nil
	}
	digest, err = in.ensure(ctx, c, s, *in.Want, progress)
	return ollama.ReleaseTag(in.Model, in.Want.Digest), digest, err
}

// pin gives the model in service an additional name, so that the server keeps its file, and returns that name; "" if no
// model is in service, or its manifest is incomplete.
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
	if s.of(release) != "" { // the release has a name already: another model is in service
		release = ""
	}
	name := formerName(in.Model, served)
	if err := in.room(copyRoom); err != nil {
		return "", err
	}
	if err := insist(ctx, func() error { return c.Copy(ctx, serving, name) }); err != nil {
		return "", fmt.Errorf("keep the model in service as %s: %w", name, err)
	}
	s.Names[name] = Entry{Release: release, Digest: served, Made: time.Now().UTC()}
	return name, s.write(in.State)
}

// give copies the release's name to the name that clients use. If that fails, it copies the former model's name there
// again, since the server writes names in place and may have destroyed it.
func (in SwitchInput) give(ctx context.Context, c *ollama.Client, from string, out Switched) error {
	if err := in.room(copyRoom); err != nil {
		return err
	}
	if err := in.tryCopy(ctx, c, from); err != nil {
		return err
	}
	err := insist(ctx, func() error {
		if err := c.Copy(ctx, from, out.Name); err != nil {
			return err
		}
		have, err := names(ctx, c)
		if err == nil && have[out.Name] != out.Digest {
			err = fmt.Errorf(
				"the Ollama server reported that it copied %s to %s, but lists digest %q for that name: does another program change it?",
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
		return errors.Join(err, fmt.Errorf("and the former model could not be restored: %w", back))
	}
	return err
}

// tryCopy copies the release's name to a test name that no client uses, and deletes that again. It thereby detects a
// full disk, on which the server would destroy the name that it writes.
func (in SwitchInput) tryCopy(ctx context.Context, c *ollama.Client, from string) error {
	name := formerName(in.Model, "try")
	err := insist(ctx, func() error { return c.Copy(ctx, from, name) })
	if err != nil {
		_ = c.Delete(ctx, name) // an incomplete name; if it stays, the next attempt overwrites it
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if err = insist(ctx, func() error { return c.Delete(ctx, name) }); errors.Is(err, ollama.ErrNotFound) {
		return nil // an earlier try had deleted it when the server restarted
	}
	return err
}

// loaded returns what the server reports about the memory of the model in service, whose manifest has the digest
// `served`; nil if it is not loaded. It also updates State.GPU.
func (in SwitchInput) loaded(ctx context.Context, c *ollama.Client, s *State, served string) (*ollama.Running, error) {
	list, err := running(ctx, c)
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

// unload requests that a model is unloaded once its requests are answered, and waits for that, at most for drain. It
// reports whether the model is still loaded then.
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

// ask loads the model in service with a request, for as long as the former one would have stayed loaded, and reads how
// much memory it uses. It returns a NotOnGPUError if the model is not completely on the GPU although State.GPU requires
// that.
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
		list, err := running(ctx, c)
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
		// It was loaded while the former model was still in GPU memory: load it again.
		if _, err := unload(ctx, c, out.Name, out.Digest); err != nil {
			return err
		}
	}
}

// takeAway deletes the name that clients use if it refers to the refused release. Switch calls it for a rollback if
// there was no such name before the run.
func (in SwitchInput) takeAway(ctx context.Context, c *ollama.Client, s State, serving string) (bool, error) {
	var have map[string]string
	err := insist(ctx, func() (err error) { have, err = names(ctx, c); return err })
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
