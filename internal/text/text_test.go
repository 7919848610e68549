package text_test

import (
	"math"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/text"
)

func TestForms(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	zone := time.FixedZone("CET", 3600)
	noon := time.Date(2026, 11, 18, 12, 0, 0, 0, zone)
	for _, c := range []struct{ got, want string }{
		{text.Percent(.85), "85.0%"},
		{text.Percent(.8549), "85.5%"},
		{text.Points(3), "3 points"},
		{text.Points(1.04), "1 point"},
		{text.Points(-.25), "-0.3 points"},
		{text.Points(12.34), "12.3 points"},
		{text.Percent(0.87134), "87.1%"},
		{text.Percent(1), "100.0%"},
		{text.Percent(math.NaN()), "not a number"},
		{text.Count(7), "7"},
		{text.Count(1204), "1,204"},
		{text.Count(-14195), "-14,195"},
		{text.Count(1000000), "1,000,000"},
		{text.Plural(1, "item"), "1 item"},
		{text.Plural(0, "item"), "0 items"},
		{text.Elapsed(4200 * time.Millisecond), "4.2 s"},
		{text.Elapsed(42 * time.Second), "42 s"},
		{text.Elapsed(250 * time.Second), "4 min 10 s"},
		{text.Elapsed(4*time.Hour + 12*time.Minute), "4 h 12 min"},
		{text.Elapsed(3 * time.Hour), "3 h"},
		{text.Elapsed(9 * day), "9 d"},
		{text.Distance(90 * time.Second), "1 min"},
		{text.Distance(-3 * time.Hour), "3 h"},
		{text.Digest("sha256:7f3a9c41d2e85b60aa11"), "7f3a9c41d2e8"},
		{text.Digest("short"), "short"},
		{text.Digest(""), ""},
		{text.Elapsed(340 * time.Millisecond), "0.3 s"},
		{text.Elapsed(76 * time.Hour), "3 d 4 h"},
		{text.Capital("as it is"), "As it is"},
		{text.Capital(""), ""},
		{text.Capital("über"), "Über"},
		{text.RunID("01m8kwdv7n0fn8jawwcm29073t"), "cm29073t"},
		{text.Plural(1, "label"), "1 label"},
		{text.Plural(0, "label"), "0 labels"},
		{text.Span(5 * time.Second), "5s"},
		{text.Span(38*time.Minute + 4*time.Second), "38m"},
		{text.Span(4*time.Hour + 12*time.Minute), "4h12m"},
		{text.Span(47 * time.Hour), "47h"},
		{text.Span(51 * time.Hour), "2d3h"},
		{text.Span(12*24*time.Hour + time.Hour), "12d"},
		{text.Span(-time.Minute), "-1m"},
		{text.Span(math.MinInt64), "-106751d"}, // as time.Until returns for the zero time
		{text.Clock(noon.Add(time.Hour), noon, zone), "13:00 CET"},
		{text.Clock(noon.Add(time.Second), noon, zone), "12:00:01 CET"},
		{text.Clock(noon.AddDate(0, 0, 1), noon, zone), "Thu 2026-11-19 12:00 CET"},
		{text.Cut("äöü", 3), "äöü"},
		{text.Brief(" one line ", 20), "one line"},
		{text.Brief("one line:\nand another", 20), "one line …"},
		{text.Brief("too many words, to be shown", 18), "too many words …"},
		{text.Brief("äääääääääääää", 5), "äääää …"},
		{text.Brief("", 5), ""},
		{text.Cut("äöüß", 3), "äöü…"},
		{text.OneLine("a\nb", 10), "a\uFFFDb"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	for digest, want := range map[string]string{
		"": "", "sha256:abc": "abc", "sha256:0123456789abcdef": "0123456789ab",
		"adopted:0123456789abcdef": "adopted:01234567", "0123456789abcdef": "0123456789ab",
	} {
		if got := text.Digest(digest); got != want {
			t.Errorf("%q: %q, want %q", digest, got, want)
		}
	}
}

func TestForgedLines(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Sport":                                     "Sport",
		"a\nretraind: all is well":                  "a\ufffdretraind: all is well",
		"\x1b]0;title\a\x1b[2J\r":                   "\ufffd]0;title\ufffd\ufffd[2J\ufffd",
		"\x1b[1mbold\x1b[0m":                        "\x1b[1mbold\x1b[0m",
		"\x1b[1;31mred\x1b[m":                       "\x1b[1;31mred\x1b[m",
		"\x1b[8mhidden \x1b[30;40mtoo":              "\ufffd[8mhidden \ufffd[30;40mtoo",
		"\u202eevil\u2066\u200b\u2028\ufeffend":     "\ufffdevil\ufffd\ufffd\ufffd\ufffdend",
		"na\u0308me \u0645\u06cc\u200c\u062e\u0648": "na\u0308me \u0645\u06cc\u200c\u062e\u0648",
	} {
		if got := text.Terminal(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := text.Visible("\x1b[1mbold"); got != "\ufffd[1mbold" {
		t.Errorf("%q", got)
	}
}
