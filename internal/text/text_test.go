package text_test

import (
	"testing"
	"time"

	"github.com/retraind/retraind/internal/text"
)

func TestForms(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CET", 3600)
	noon := time.Date(2026, 11, 18, 12, 0, 0, 0, zone)
	for _, c := range []struct{ got, want string }{
		{text.Share(.85), "85.0%"},
		{text.Share(.8549), "85.5%"},
		{text.Points(3), "3 points"},
		{text.Points(1.04), "1 point"},
		{text.Points(-.25), "-0.3 points"},
		{text.Points(12.34), "12.3 points"},
		{text.Plural(1, "label"), "1 label"},
		{text.Plural(0, "label"), "0 labels"},
		{text.Span(5 * time.Second), "5s"},
		{text.Span(38*time.Minute + 4*time.Second), "38m"},
		{text.Span(4*time.Hour + 12*time.Minute), "4h12m"},
		{text.Span(47 * time.Hour), "47h"},
		{text.Span(51 * time.Hour), "2d3h"},
		{text.Span(12*24*time.Hour + time.Hour), "12d"},
		{text.Span(-time.Minute), "-1m"},
		{text.Clock(noon.Add(time.Hour), noon, zone), "13:00 CET"},
		{text.Clock(noon.Add(time.Second), noon, zone), "12:00:01 CET"},
		{text.Clock(noon.AddDate(0, 0, 1), noon, zone), "Thu 2026-11-19 12:00 CET"},
		{text.Cut("äöü", 3), "äöü"},
		{text.Cut("äöüß", 3), "äöü…"},
		{text.OneLine("a\nb", 10), "a\uFFFDb"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
