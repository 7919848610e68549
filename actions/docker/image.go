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

// Image describes an image by its id or name.
func (c *Client) Image(ctx context.Context, name string) (Image, error) {
	var in struct {
		ID       string `json:"Id"`
		RepoTags []string
		Size     int64
	}
	if err := c.call(ctx, "look at image "+name, http.MethodGet, "/images/"+name+"/json", nil, &in); err != nil {
		return Image{}, err
	}
	return Image{in.ID, in.RepoTags, in.Size}, nil
}

// Tag gives an image one more name. A name that another image had is taken from it.
func (c *Client) Tag(ctx context.Context, image, name string) error {
	repo, tag := SplitName(name)
	query := url.Values{"repo": {repo}, "tag": {tag}}
	return c.call(ctx, "tag image "+Short(image)+" as "+name, http.MethodPost, "/images/"+image+"/tag", query, nil)
}

// Untag takes a name from an image; the image goes with its last name. A name that is gone is no error.
func (c *Client) Untag(ctx context.Context, name string) error {
	return c.call(ctx, "remove image "+name, http.MethodDelete, "/images/"+name, nil, nil, http.StatusNotFound)
}

// Names lists the names of a repository's images.
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

// SplitName splits "repository:tag"; without a tag it is latest. The port of a registry is no tag.
func SplitName(name string) (repository, tag string) {
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[i:], "/") {
		return name[:i], name[i+1:]
	}
	return name, "latest"
}
