package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/store"
)

// BenchmarkCommit stores one label change with its item, on disk when it returns.
func BenchmarkCommit(b *testing.B) {
	s := open(b)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		id := fmt.Sprint(n)
		update(b, s, func(tx *store.Tx) error {
			if _, err := add(tx, "m", store.Change{
				Source: "postgres", Key: id, Op: "label", Item: id,
				Old: map[string]string{"l": "a"}, New: map[string]string{"l": "b"}, At: noon, Author: "anna",
			}); err != nil {
				return err
			}
			return tx.PutItems("m", store.Item{
				ID: id, TextHash: "0123456789abcdef0123456789abcdef",
				Labels: map[string]string{"l": "b"}, Seq: int64(n), At: noon,
			})
		})
	}
}

// BenchmarkFsync measures the disk itself: four pages appended to a file and synced.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	pages := make([]byte, 4*4096)
	for b.Loop() {
		if _, err := f.Write(pages); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
