package text_test

import (
	"testing"

	"github.com/retraind/retraind/internal/text"
)

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 bytes", 1: "1 byte", 1023: "1,023 bytes", 1024: "1.0 KiB", 1536: "1.5 KiB", 20 << 30: "20.0 GiB",
		1 << 60: "1048576.0 TiB",
	} {
		if got := text.Bytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
