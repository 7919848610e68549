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

// Recipe is what a name is created from. It is stored in the release, so that the release's digest covers it, and the
// name can be created again years later.
type Recipe struct {
	GGUF       string         `json:"gguf"` // file name in the release
	System     string         `json:"system,omitempty"`
	Template   string         `json:"template,omitempty"` // "" for the template in the GGUF file
	Parameters map[string]any `json:"parameters,omitempty"`
	// Prompts is the digest of the prompts and options in requests: a proof is valid for these only.
	Prompts string `json:"prompts,omitempty"`
}

// RecipeFile is the name of the recipe's file in the release.
const RecipeFile = "ollama.json"

// WriteRecipe writes the recipe into a release that is not sealed yet.
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
		err = fmt.Errorf("%q is not a file of the release", r.GGUF)
	}
	if err != nil {
		return r, fmt.Errorf("read %s of the release: %w", RecipeFile, err)
	}
	return r, nil
}

// Release is one release of the model, with the directory of its files.
type Release struct {
	Digest string `json:"digest"`
	Dir    string `json:"dir,omitempty"` // directory of its files; "" if its name cannot be created again
}

// MakeInput is the input of the step stage.
type MakeInput struct {
	Place
	Release Release  `json:"release"`
	Serving []string `json:"serving,omitempty"` // digests of the champion and the former release, whose names are kept
	Keep    int      `json:"keep"`
	// Ask is the test request to the new name. It is needed because a server accepts even files that it cannot load.
	Ask ollama.ChatRequest `json:"ask"`
}

// Made describes a created name.
type Made struct {
	Release string  `json:"release"` // digest of the release
	Name    string  `json:"name"`
	Digest  string  `json:"digest"` // digest of the name's manifest
	Server  string  `json:"server"` // version of the server
	Size    int64   `json:"size"`   // bytes in memory
	VRAM    int64   `json:"vram"`   // of these, on the GPU
	Seconds float64 `json:"seconds"`
}

// Make deletes old names (see prune), creates the name of a release, and sends it one request. It is idempotent.
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
	progress(0.8, "sending a test request")
	in.Ask.Model = m.Name
	if err := insist(ctx, func() error { _, err := c.Chat(ctx, in.Ask); return err }); err != nil {
		if errors.Is(err, ollama.ErrCannotLoad) { // the name is useless
			err = errors.Join(err, in.forget(ctx, c, &s, m.Name))
		}
		return m, fmt.Errorf("the model was created, but does not answer: %w", err)
	}
	if err := insist(ctx, func() (err error) { m.Server, err = c.Version(ctx); return err }); err != nil {
		return m, err
	}
	list, err := running(ctx, c)
	for _, r := range list {
		if r.Digest == m.Digest {
			m.Size, m.VRAM = r.Size, r.VRAM
		}
	}
	m.Seconds = time.Since(began).Seconds()
	return m, err
}

// ensure creates the name of a release, unless the server has it unchanged, and returns the digest of its manifest.
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
			"serving.ollama.model is %s, which is the name of a release: choose another name",
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
		return "", fmt.Errorf("%s is not on the Ollama server any more, and there are no files to create it from", name)
	}
	if err := p.create(ctx, c, name, r.Dir, progress); err != nil {
		return "", err
	}
	if err := insist(ctx, func() (err error) { have, err = names(ctx, c); return err }); err != nil {
		return "", err
	}
	if have[name] == "" {
		return "", fmt.Errorf("the Ollama server reported that it created %s, but does not list it: see the log of the server",
			name)
	}
	s.Names[name] = Entry{Release: r.Digest, Digest: have[name], Made: time.Now().UTC()}
	return have[name], s.write(p.State)
}

// create creates a name from the files of a release.
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
	if err := p.room(3 * g.Size); err != nil { // the upload, the server's copy, and the model in service
		return err
	}
	progress(0.1, fmt.Sprintf("sending %s", text.OneLine(filepath.Base(file), 60)))
	return insist(ctx, func() error {
		// A restarted server has deleted an uploaded file to which no name refers yet: upload it again.
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

// forget deletes a name from the server and from the record.
func (p Place) forget(ctx context.Context, c *ollama.Client, s *State, name string) error {
	if err := c.Delete(ctx, name); err != nil && !errors.Is(err, ollama.ErrNotFound) {
		return err
	}
	delete(s.Names, name)
	return s.write(p.State)
}
