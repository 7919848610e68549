package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/minio/highwayhash"
)

// mend completes streams and consumers whose creation or change a crash cut short. The server writes a stream's settings to meta.inf
// and then their checksum to meta.sum. Between the two it leaves a stream that it passes over at each start: for its users it
// does not exist until somebody creates it anew, over its messages but without its consumers and where they stood; and as
// its settings are there already, they get no checksum even then. Each file is replaced as a whole, so settings that can be read are good.
func mend(dir string, log *slog.Logger) error {
	streams := filepath.Join(dir, "jetstream", "*", "streams")
	for _, pattern := range []string{filepath.Join(streams, "*", "meta.inf"), filepath.Join(streams, "*", "obs", "*", "meta.inf")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := complete(filepath.Dir(path), log); err != nil {
				return fmt.Errorf("complete %s: %w", filepath.Dir(path), err)
			}
		}
	}
	return nil
}

// complete writes the checksum of the stream or consumer that dir holds where it is missing or another one's.
func complete(dir string, log *slog.Logger) error {
	settings, err := os.ReadFile(filepath.Join(dir, "meta.inf"))
	if err != nil {
		return err
	}
	key := filepath.Base(dir)
	var named struct{ Name string }
	if !json.Valid(settings) {
		return nil // encrypted or damaged: for the server to judge
	}
	if err := json.Unmarshal(settings, &named); err != nil || named.Name != key {
		return err
	}
	if above := filepath.Dir(dir); filepath.Base(above) == "obs" {
		key = filepath.Base(filepath.Dir(above)) + "/" + key
	}
	want, err := checksum(key, settings)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "meta.sum")
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || string(have) == want {
		return err
	}
	log.Warn("a crash left this half written in JetStream's files; it is completed", "what", key)
	return renameio.WriteFile(path, []byte(want), 0o600)
}

// checksum is what the server expects in meta.sum; key is the stream's name, or stream/consumer.
func checksum(key string, settings []byte) (string, error) {
	of := sha256.Sum256([]byte(key))
	hash, err := highwayhash.New64(of[:])
	if err != nil {
		return "", err
	}
	_, _ = hash.Write(settings) // never fails
	return hex.EncodeToString(hash.Sum(nil)), nil
}
