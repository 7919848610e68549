package ingest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// readSalt reads the secret that held-out membership is keyed with, and makes it once.
func readSalt(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		salt := strings.TrimSpace(string(b))
		if salt == "" {
			return nil, fmt.Errorf("salt file %s is empty: restore it from a backup; a new salt makes another held-out set and voids all comparisons", path)
		}
		return []byte(salt), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("salt file: %w", err)
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	text := hex.EncodeToString(salt)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("salt file: %w", err)
	}
	if err := renameio.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("salt file: %w", err)
	}
	return []byte(text), nil
}
