package ollamatags

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/actions/weights"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving/ollama"
)

// Recipe is what a name is made of. It lies in the release, so that it is part of its digest, and the name can be made
// again years later.
type Recipe struct {
	GGUF       string         `json:"gguf"` // file of the release
	System     string         `json:"system,omitempty"`
	Template   string         `json:"template,omitempty"` // "": the file's own
	Parameters map[string]any `json:"parameters,omitempty"`
	// Prompts is the digest of what requests carry: what was proved is proved with these.
	Prompts string `json:"prompts,omitempty"`
}

// RecipeFile is its name in the release.
const RecipeFile = "ollama.json"

// WriteRecipe puts the recipe into a release that is not sealed yet.
func WriteRecipe(dir string, r Recipe) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, RecipeFile), append(b, '\n'), 0o644)
}

func readRecipe(dir string) (Recipe, error) {
	var r Recipe
	b, err := os.ReadFile(filepath.Join(dir, RecipeFile))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && !filepath.IsLocal(r.GGUF) {
		err = fmt.Errorf("%q is no file of the release", r.GGUF)
	}
	if err != nil {
		return r, fmt.Errorf("read %s of the release: %w", RecipeFile, err)
	}
	return r, nil
}

// Release is one release of the model and where its files lie.
type Release struct {
	Digest string `json:"digest"`
	Dir    string `json:"dir,omitempty"` // "": its name cannot be made again
}

// MakeInput is the input of the step stage.
type MakeInput struct {
	Place
	Release Release  `json:"release"`
	Serving []string `json:"serving,omitempty"` // digests of the releases whose names stay: champion and former
	Keep    int      `json:"keep"`
	// Ask is what the new name is asked once, since a server takes files that it cannot load.
	Ask ollama.ChatRequest `json:"ask"`
}

// Made is a name that was made.
type Made struct {
	Release string  `json:"release"` // its digest: it was sealed before its name was made
	Name    string  `json:"name"`
	Digest  string  `json:"digest"` // of its manifest
	Server  string  `json:"server"` // version
	Size    int64   `json:"size"`   // bytes in memory
	VRAM    int64   `json:"vram"`   // of them on the GPU
	Seconds float64 `json:"seconds"`
}

// Make makes the name of a release and asks it once. Entered again it finds the name that it made.
func Make(ctx context.Context, in MakeInput, progress func(float64, string)) (Made, error) {
	began := time.Now()
	c, err := ollama.New(in.URL)
	if err != nil {
		return Made{}, err
	}
	defer c.Close()
	s, err := readState(in.State)
	if err != nil {
		return Made{}, err
	}
	if _, err := prune(ctx, c, in.Place, &s, in.Keep, in.Serving); err != nil {
		return Made{}, err
	}
	m := Made{Release: in.Release.Digest, Name: ollama.ReleaseTag(in.Model, in.Release.Digest)}
	if m.Digest, err = in.ensure(ctx, c, &s, in.Release, progress); err != nil {
		return m, err
	}
	progress(0.8, "asking it once")
	in.Ask.Model = m.Name
	if err := insist(ctx, func() error { _, err := c.Chat(ctx, in.Ask); return err }); err != nil {
		if errors.Is(err, ollama.ErrCannotLoad) { // nothing can be done with it
			err = errors.Join(err, in.forget(ctx, c, &s, m.Name))
		}
		return m, fmt.Errorf("the model was created, and does not answer: %w", err)
	}
	if m.Server, err = c.Version(ctx); err != nil {
		return m, err
	}
	running, err := c.Running(ctx)
	for _, r := range running {
		if r.Digest == m.Digest {
			m.Size, m.VRAM = r.Size, r.VRAM
		}
	}
	m.Seconds = time.Since(began).Seconds()
	return m, err
}

// ensure makes the name of a release unless it is there as it was made, and returns the digest of its manifest.
func (p Place) ensure(
	ctx context.Context,
	c *ollama.Client,
	s *State,
	r Release,
	progress func(float64, string),
) (string, error) {
	name := ollama.ReleaseTag(p.Model, r.Digest)
	if name == ollama.Tagged(p.Model) {
		return "", fmt.Errorf(
			"clients ask for %s, which is the name of a release: choose another name for serving.ollama.model",
			name,
		)
	}
	var have map[string]string
	if err := insist(ctx, func() (err error) { have, err = names(ctx, c); return err }); err != nil {
		return "", err
	}
	if known, ok := s.Names[name]; ok && have[name] == known.Digest {
		return known.Digest, nil
	}
	if r.Dir == "" {
		return "", fmt.Errorf("%s is not on the Ollama server any more, and there are no files to make it of", name)
	}
	if err := p.create(ctx, c, name, r.Dir, progress); err != nil {
		return "", err
	}
	if err := insist(ctx, func() (err error) { have, err = names(ctx, c); return err }); err != nil {
		return "", err
	}
	if have[name] == "" {
		return "", fmt.Errorf("the Ollama server says that it made %s, and does not list it: look at its log", name)
	}
	s.Names[name] = Entry{Release: r.Digest, Digest: have[name], Made: time.Now().UTC()}
	return have[name], s.write(p.State)
}

// create makes a name of the files of a release.
func (p Place) create(ctx context.Context, c *ollama.Client, name, dir string, progress func(float64, string)) error {
	recipe, err := readRecipe(dir)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, recipe.GGUF)
	g, err := weights.OpenGGUF(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist: let the conversion write $RETRAIND_RELEASE_DIR/%s", file, recipe.GGUF)
	}
	if err == nil {
		err = g.Check(recipe.Template != "")
	}
	if err != nil {
		return err
	}
	if err := p.room(3 * g.Size); err != nil { // what is sent, what the server makes of it, and what serves
		return err
	}
	progress(0.1, fmt.Sprintf("sending %s", text.OneLine(filepath.Base(file), 60)))
	return insist(ctx, func() error {
		// A server that was restarted in between has dropped a file that no name stands for: it is sent again.
		blob, err := c.Upload(ctx, file)
		if err != nil {
			return err
		}
		progress(0.5, "creating "+name)
		return c.Create(ctx, ollama.CreateRequest{
			Model: name, Files: map[string]string{filepath.Base(recipe.GGUF): blob}, System: recipe.System,
			Template: recipe.Template, Parameters: recipe.Parameters,
		}, func(status string) { progress(0.6, text.OneLine(status, 80)) })
	})
}

// forget deletes a name of the model's own.
func (p Place) forget(ctx context.Context, c *ollama.Client, s *State, name string) error {
	if err := c.Delete(ctx, name); err != nil && !errors.Is(err, ollama.ErrNotFound) {
		return err
	}
	delete(s.Names, name)
	return s.write(p.State)
}
