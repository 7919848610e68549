package ingest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/retraind/retraind/internal/durable"
)

// readSalt reads the salt, the secret key that decides which items are held out. It creates a missing salt. If items
// are already known, it returns an error instead, because the salt must have been lost.
func readSalt(path string, known bool) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		salt := strings.TrimSpace(string(b))
		if salt == "" {
			return nil, fmt.Errorf("salt file %s is empty: restore it from a backup; a new salt selects another held-out set and invalidates all comparisons",
				path)
		}
		return []byte(salt), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("salt file: %w", err)
	}
	if known {
		return nil, fmt.Errorf("salt file %s is missing although items are known: restore it from a backup; a new salt selects another held-out set and invalidates all comparisons (to accept that, write any secret into the file)",
			path)
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	text := hex.EncodeToString(salt)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("salt file: %w", err)
	}
	if err := durable.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("salt file: %w", err)
	}
	return []byte(text), nil
}
