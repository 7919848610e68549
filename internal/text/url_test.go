package text_test

import (
	"testing"

	"github.com/retraind/retraind/internal/text"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                               "",
		"http://127.0.0.1:8082/classify": "http://127.0.0.1:8082/classify",
		"http://bob:secret@host/health":  "http://bob:xxxxx@host/health",
		"http://bob@host/health":         "http://bob@host/health",
		"http://host/health@home":        "http://host/health@home",
		"http://bob:se%cret@host/health": "…@host/health",
		"bob:secret@host/health":         "…@host/health",
		"nats://token@host:4222":         "nats://xxxxx@host:4222",
		"nats://bob:secret@host:4222":    "nats://bob:xxxxx@host:4222",
	} {
		if got := text.URL(raw); got != want {
			t.Errorf("URL(%q) = %q, want %q", raw, got, want)
		}
	}
}
