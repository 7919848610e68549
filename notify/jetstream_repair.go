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

// repairJetStream writes the checksums of streams and consumers whose creation or change a crash interrupted.
//
// The server writes a stream's settings to meta.inf and then the settings' checksum to meta.sum. After a crash between
// the two, the server skips the stream at every start. Users cannot find the stream until somebody creates it again; it
// then has its messages but none of its consumers. Creating it again writes no checksum either, because the settings
// already exist. meta.inf is replaced atomically, so settings that can be parsed are complete. nats-server 2.15.2 needs
// this repair: its test fails without it. With each newer version, try whether this file can be deleted.
func repairJetStream(dir string, log *slog.Logger) error {
	streams := filepath.Join(dir, "jetstream", "*", "streams")
	for _, pattern := range []string{
		filepath.Join(streams, "*", "meta.inf"),
		filepath.Join(streams, "*", "obs", "*", "meta.inf"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := repairChecksum(filepath.Dir(path), log); err != nil {
				return fmt.Errorf("repair %s: %w", filepath.Dir(path), err)
			}
		}
	}
	return nil
}

// repairChecksum writes the checksum of the stream or consumer in dir if the checksum is missing or does not match.
func repairChecksum(dir string, log *slog.Logger) error {
	settings, err := os.ReadFile(filepath.Join(dir, "meta.inf"))
	if err != nil {
		return err
	}
	key := filepath.Base(dir)
	var named struct{ Name string }
	if !json.Valid(settings) {
		return nil // encrypted or damaged: left to the server
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
	log.Warn("jetstream: wrote a checksum that was missing after a crash", "what", key)
	return renameio.WriteFile(path, []byte(want), 0o600)
}

// checksum returns the content that the server expects in meta.sum. key is the stream's name, or stream/consumer.
func checksum(key string, settings []byte) (string, error) {
	of := sha256.Sum256([]byte(key))
	hash, err := highwayhash.New64(of[:])
	if err != nil {
		return "", err
	}
	_, _ = hash.Write(settings) // never fails
	return hex.EncodeToString(hash.Sum(nil)), nil
}
