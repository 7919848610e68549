package gpu_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	minute := unit.Duration(time.Minute)
	for _, tc := range []struct {
		name   string
		config gpu.Config
		want   []string
	}{
		{"defaults", gpu.Config{Free: 20 * gib}, nil},
		{"nothing", gpu.Config{}, []string{"free: neither free nor max_used is set"}},
		{"a typing error", gpu.Config{Free: 20 << 50}, []string{"free: 20480TiB is more memory than any GPU has"}},
		{"max_used", gpu.Config{MaxUsed: 500 << 20}, nil},
		{"both", gpu.Config{Free: gib, MaxUsed: gib}, []string{"max_used: free and max_used are both set"}},
		{"negative size", gpu.Config{MaxUsed: -1}, []string{"max_used: -1B is more memory than any GPU has"}},
		{"intruders", gpu.Config{Free: gib, OnIntruder: "kill"}, []string{`on_intruder: unknown value "kill"`}},
		{"impatient", gpu.Config{Free: gib, StableFor: minute, Wait: minute}, []string{"wait: wait 1m is not longer than stable_for 1m, so no run could start"}},
		{"negative", gpu.Config{Free: gib, StableFor: -minute, Wait: minute}, []string{"stable_for: negative duration -1m"}},
		{"names", gpu.Config{Free: gib, Ignore: []string{"Xorg", " ", "Xorg"}}, []string{"ignore: empty program name", `ignore: "Xorg" is named twice`}},
	} {
		var got []string
		for _, p := range tc.config.WithDefaults().Validate() {
			got = append(got, p.Path+": "+p.Message)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
}

// Validation does not show the password of a URL.
func TestStopHidesPasswords(t *testing.T) {
	t.Parallel()
	config := gpu.Config{Free: gib, Stop: []gpu.StopConfig{{Unit: "tagger", Healthy: "ftp://bob:geheim@host/health"}}}
	found := config.WithDefaults().Validate()
	if len(found) != 1 || found[0].Message != `"ftp://bob:xxxxx@host/health" is not an http or https URL` {
		t.Errorf("%+v", found)
	}
}
