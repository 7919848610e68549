package ollama

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// HasBlob reports whether the server has the file with a digest (sha256:…).
func (c *Client) HasBlob(ctx context.Context, digest string) (bool, error) {
	k := call{op: "blob", about: digest, method: http.MethodHead, path: "/api/blobs/" + digest, most: maxSmall}
	err := c.ask(ctx, k, nil, nil)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Upload hashes a file, sends it unless the server has it, and returns its digest. The server removes unused files
// when it starts: create the model soon after.
func (c *Client) Upload(ctx context.Context, path string) (digest string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("upload to ollama: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, readerOf(ctx, f))
	if err != nil {
		return "", fmt.Errorf("upload to ollama: hash %s: %w", path, err)
	}
	digest = "sha256:" + hex.EncodeToString(hash.Sum(nil))
	if has, err := c.HasBlob(ctx, digest); err != nil || has {
		return digest, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("upload to ollama: %w", err)
	}
	k := call{
		op: "upload", about: path, method: http.MethodPost, path: "/api/blobs/" + digest,
		body: io.LimitReader(f, size), length: size, most: maxSmall, also: http.StatusCreated,
	}
	return digest, c.ask(ctx, k, nil, nil)
}

// readerOf returns a reader that fails once the context has ended, because hashing a file of many gigabytes takes a
// minute.
func readerOf(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }

type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(b)
}
