package docker

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Image is one image as the engine describes it.
type Image struct {
	ID    string   // "sha256:…"
	Names []string // "repository:tag"
	Bytes int64
}

// Image returns an image by its id or name.
func (c *Client) Image(ctx context.Context, name string) (Image, error) {
	var in struct {
		ID       string `json:"Id"`
		RepoTags []string
		Size     int64
	}
	if err := c.call(ctx, "inspect image "+name, http.MethodGet, "/images/"+name+"/json", nil, &in); err != nil {
		return Image{}, err
	}
	return Image{in.ID, in.RepoTags, in.Size}, nil
}

// Tag adds a name to an image. Another image that had this name loses it.
func (c *Client) Tag(ctx context.Context, image, name string) error {
	repo, tag := SplitName(name)
	query := url.Values{"repo": {repo}, "tag": {tag}}
	return c.call(ctx, "tag image "+Short(image)+" as "+name, http.MethodPost, "/images/"+image+"/tag", query, nil)
}

// Untag removes a name of an image. The engine deletes an image that loses its last name. A missing name is no error.
func (c *Client) Untag(ctx context.Context, name string) error {
	return c.call(ctx, "remove image "+name, http.MethodDelete, "/images/"+name, nil, nil, http.StatusNotFound)
}

// Names lists the names of the images in a repository.
func (c *Client) Names(ctx context.Context, repository string) ([]string, error) {
	var list []struct{ RepoTags []string }
	query := url.Values{"filters": {`{"reference":["` + repository + `"]}`}}
	if err := c.call(ctx, "list the images of "+repository, http.MethodGet, "/images/json", query, &list); err != nil {
		return nil, err
	}
	var out []string
	for _, image := range list {
		for _, name := range image.RepoTags {
			if repo, _ := SplitName(name); repo == repository {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// SplitName splits "repository:tag"; the default tag is latest. The port of a registry is not mistaken for a tag.
func SplitName(name string) (repository, tag string) {
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[i:], "/") {
		return name[:i], name[i+1:]
	}
	return name, "latest"
}
