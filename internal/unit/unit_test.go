package unit_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/internal/unit"
)

// accepts checks the value, its printed form, and that the printed form reads back as the same value.
func accepts[T comparable, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, in string, want T, printed string) {
	t.Helper()
	var got T
	if err := P(&got).UnmarshalText([]byte(in)); err != nil {
		t.Errorf("%q: %v", in, err)
		return
	}
	if got != want {
		t.Errorf("%q = %v, want %v", in, got, want)
	}
	out, err := any(got).(encoding.TextMarshaler).MarshalText()
	if err != nil || string(out) != printed {
		t.Errorf("%q prints as %q, %v; want %q", in, out, err, printed)
	}
	var back T
	if err := P(&back).UnmarshalText(out); err != nil || back != got {
		t.Errorf("%q printed as %q reads back as %v, %v", in, out, back, err)
	}
}

// refuses checks the whole message, which contains the bad text and the correction.
func refuses[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, in, want string) {
	t.Helper()
	var got T
	err := P(&got).UnmarshalText([]byte(in))
	if err == nil {
		t.Errorf("%q accepted as %v", in, got)
		return
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("%q (-want +got):\n%s", in, diff)
	}
	if e := new(unit.Error); !errors.As(err, &e) || e.Message == "" {
		t.Errorf("%q: not a unit.Error: %#v", in, err)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in      string
		want    time.Duration
		printed string
	}{
		{"30s", 30 * time.Second, "30s"},
		{"30m", 30 * time.Minute, "30m"},
		{"24h", 24 * time.Hour, "24h"},
		{"1d", 24 * time.Hour, "24h"},
		{"1h30m", 90 * time.Minute, "1h30m"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"7d", 7 * 24 * time.Hour, "7d"},
		{"2w", 14 * 24 * time.Hour, "14d"},
		{"1w2d3h", (9*24 + 3) * time.Hour, "219h"},
		{"90d", 90 * 24 * time.Hour, "90d"},
		{"36h", 36 * time.Hour, "36h"},
		{"300ms", 300 * time.Millisecond, "300ms"},
		{"1s500ms", 1500 * time.Millisecond, "1s500ms"},
		{"0s", 0, "0s"},
		{"007m", 7 * time.Minute, "7m"},
		{"9223372036854775807ns", math.MaxInt64, "2562047h47m16s854ms775us807ns"},
	} {
		accepts(t, c.in, unit.Duration(c.want), c.printed)
	}
	for in, want := range map[string]string{
		"":                      `an empty text is not a duration: write 30s, 30m, 24h, 1h30m or 7d`,
		"30":                    `"30" has no unit: write 30s, 30m, 30h or 30d`,
		"0":                     `"0" has no unit: write 0s, 0m, 0h or 0d`,
		"-30m":                  `"-30m" is negative: write a duration without a sign`,
		"30 min":                `"30 min" is not a duration: write 30m`,
		"30 m":                  `"30 m" has a space in it: write 30m`,
		"2 hours":               `"2 hours" is not a duration: write 2h`,
		"1.5h":                  `"1.5h" has a fraction: write whole numbers, as in 1h30m for one and a half hours`,
		"1,5h":                  `"1,5h" has a fraction: write whole numbers, as in 1h30m for one and a half hours`,
		"7D":                    `"7D" has a unit in capitals: write 7d`,
		"3y":                    `"3y" has the unknown unit "y": the units are w, d, h, m, s and ms, as in 1h30m`,
		"30m1h":                 `"30m1h" has its units out of order: write each unit once, the largest first, as in 1h30m`,
		"1h1h":                  `"1h1h" has its units out of order: write each unit once, the largest first, as in 1h30m`,
		"99999999h":             `"99999999h" is too long: the longest duration is 106751d`,
		"99999999999999999999s": `"99999999999999999999s" is too long: the longest duration is 106751d`,
		"h":                     `"h" is not a duration: write 30s, 30m, 24h, 1h30m or 7d`,
		"1h30":                  `"1h30" is not a duration: write 30s, 30m, 24h, 1h30m or 7d`,
		"+1h":                   `"+1h" is not a duration: write 30s, 30m, 24h, 1h30m or 7d`,
		strings.Repeat("x", 99): `"` + strings.Repeat("x", 60) + `"… is not a duration: write 30s, 30m, 24h, 1h30m or 7d`,
	} {
		refuses[unit.Duration](t, in, want)
	}
	if got := unit.Duration(-90 * time.Minute).String(); got != "-1h30m" {
		t.Errorf("negative prints as %q", got)
	}
	if got := unit.Duration(math.MinInt64).String(); got[0] != '-' {
		t.Errorf("smallest prints as %q", got)
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in      string
		want    float64
		printed string
	}{
		{"85%", 0.85, "85%"},
		{"99.5%", 0.995, "99.5%"},
		{"0.85", 0.85, "85%"},
		{"7%", 0.07, "7%"},
		{"0.07", 0.07, "7%"},
		{"0", 0, "0%"},
		{"0%", 0, "0%"},
		{"100%", 1, "100%"},
		{"1.0", 1, "100%"},
		{"0.5%", 0.005, "0.5%"},
		{"0.1234567890123456", 0.1234567890123456, "0.1234567890123456"},
	} {
		accepts(t, c.in, unit.Percent(c.want), c.printed)
	}
	for in, want := range map[string]string{
		"":      `an empty text is not a share: write 85% or 0.85`,
		"85":    `"85" is not between 0 and 1: write 85% or 0.85`,
		"1":     `"1" may mean 1% or 100%: write 1% or 100%`,
		"185":   `"185" is not between 0 and 1: write 85% or 0.85`,
		"101%":  `"101%" is more than 100%: write 85% or 0.85`,
		"0,85":  `"0,85" has a decimal comma: write 0.85`,
		"85,5%": `"85,5%" has a decimal comma: write 85.5%`,
		"85 %":  `"85 %" has a space in it: write 85%`,
		".85":   `".85" has no digit before the point: write 0.85`,
		"NaN":   `"NaN" is not a finite number: write 85% or 0.85`,
		".nan":  `".nan" is not a finite number: write 85% or 0.85`,
		"-.inf": `"-.inf" is not a finite number: write 85% or 0.85`,
		"inf%":  `"inf%" is not a finite number: write 85% or 0.85`,
		"-5%":   `"-5%" is negative: write 5%`,
		"-0.5":  `"-0.5" is negative: write 0.5`,
		"085%":  `"085%" has leading zeros: write 85%`,
		"1e-1":  `"1e-1" is not a number: write 85% or 0.85`,
		"high":  `"high" is not a number: write 85% or 0.85`,
		"%":     `"%" is not a number: write 85% or 0.85`,
		"85pt":  `"85pt" is not a number: write 85% or 0.85`,
		"0x1":   `"0x1" is not a number: write 85% or 0.85`,
		"1_0%":  `"1_0%" is not a number: write 85% or 0.85`,
	} {
		refuses[unit.Percent](t, in, want)
	}
}

func TestPoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in      string
		want    float64
		printed string
	}{
		{"3", 3, "3pt"}, {"3pt", 3, "3pt"}, {"0.5", 0.5, "0.5pt"}, {"0", 0, "0pt"}, {"100", 100, "100pt"},
	} {
		accepts(t, c.in, unit.Points(c.want), c.printed)
	}
	for in, want := range map[string]string{
		"":     `an empty text is not a number of points: write 3 or 3pt`,
		"3%":   `"3%" is a percentage: a difference is written in percentage points: write 3`,
		"-3":   `"-3" is negative: write 3`,
		"101":  `"101" is more than 100 points: points are differences of percentages: write 3 or 3pt`,
		"0,5":  `"0,5" has a decimal comma: write 0.5`,
		"3 pt": `"3 pt" is not a number: write 3 or 3pt`,
		".inf": `".inf" is not a finite number: write 3 or 3pt`,
		"017":  `"017" has leading zeros: write 17`,
	} {
		refuses[unit.Points](t, in, want)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in      string
		want    int64
		printed string
	}{
		{"20GiB", 20 << 30, "20GiB"},
		{"500MB", 500e6, "500MB"},
		{"1.5GiB", 3 << 29, "1536MiB"},
		{"0B", 0, "0B"},
		{"4kB", 4000, "4kB"},
		{"1024KiB", 1 << 20, "1MiB"},
		{"123B", 123, "123B"},
		{"9223372036854775807B", math.MaxInt64, "9223372036854775807B"},
		{"2TB", 2e12, "2TB"},
		{"1TiB", 1 << 40, "1TiB"},
		{"0.1GB", 1e8, "100MB"},
	} {
		accepts(t, c.in, unit.Size(c.want), c.printed)
	}
	for in, want := range map[string]string{
		"":           `"" is not a size: write 20GiB or 500MB`,
		"20":         `"20" has no unit: write 20GiB, 20MiB or 20B`,
		"20G":        `"20G" has the unknown unit "G": write 20GiB or 20GB`,
		"20gib":      `"20gib" has the unknown unit "gib": write 20GiB`,
		"20 GiB":     `"20 GiB" has a space in it: write 20GiB`,
		"20XB":       `"20XB" has the unknown unit "XB": the units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB, as in 20GiB`,
		"-1GiB":      `"-1GiB" is negative: write 1GiB`,
		"0,5GiB":     `"0,5GiB" has a decimal comma: write 0.5GiB`,
		"GiB":        `"GiB" is not a size: write 20GiB or 500MB`,
		"9999999TiB": `"9999999TiB" is too large: write 20GiB or 500MB`,
		"020GiB":     `"020GiB" has leading zeros: write 20GiB`,
		"1e3MB":      `"1e3MB" is not a number: write 20GiB or 500MB`,
	} {
		refuses[unit.Size](t, in, want)
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	const day = unit.Duration(24 * time.Hour)
	for _, c := range []struct {
		in      string
		want    unit.Rate
		printed string
	}{
		{"1 per 180d", unit.Rate{Count: 1, Per: 180 * day}, "1 per 180d"},
		{"3 per 7d", unit.Rate{Count: 3, Per: 7 * day}, "3 per 7d"},
		{"3  per  1w", unit.Rate{Count: 3, Per: 7 * day}, "3 per 7d"},
		{"0 per 7d", unit.Rate{Per: 7 * day}, "0 per 7d"},
		{"", unit.Rate{}, ""},
	} {
		accepts(t, c.in, c.want, c.printed)
	}
	for in, want := range map[string]string{
		"3":                  `"3" has no period: write 3 per 7d`,
		"3/7d":               `"3/7d" is not a rate: write 3 per 7d`,
		"3 per":              `"3 per" is not a rate: write 3 per 7d`,
		"3 per week":         `rate "3 per week": "week" is not a duration: write 30s, 30m, 24h, 1h30m or 7d`,
		"3 per 7":            `rate "3 per 7": "7" has no unit: write 7s, 7m, 7h or 7d`,
		"3 per 0s":           `"3 per 0s" has a period of zero: write 3 per 7d`,
		"1.5 per 7d":         `"1.5 per 7d" does not start with a whole number: write 3 per 7d`,
		"-1 per 7d":          `"-1 per 7d" does not start with a whole number: write 3 per 7d`,
		"99999999999 per 7d": `"99999999999 per 7d" has too large a count: write 3 per 7d`,
	} {
		refuses[unit.Rate](t, in, want)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in      string
		want    unit.Clock
		printed string
	}{
		{"22:00", 22 * 3600, "22:00"},
		{"22:00:15", 22*3600 + 15, "22:00:15"},
		{"00:00", 0, "00:00"},
		{"23:59:59", 86399, "23:59:59"},
		{"06:30:00", 6*3600 + 1800, "06:30"},
	} {
		accepts(t, c.in, c.want, c.printed)
	}
	for in, want := range map[string]string{
		"":        `"" is not a time of day: write "22:00" or "22:00:15"`,
		"25:00":   `"25:00" is not a time of day: times of day run from "00:00" to "23:59:59"`,
		"22:60":   `"22:60" is not a time of day: times of day run from "00:00" to "23:59:59"`,
		"24:00":   `"24:00" is not a time of day: write "00:00"; a window that ends there ends at midnight`,
		"2:30":    `"2:30" has only one digit for the hour: write "02:30"`,
		"22":      `"22" is not a time of day: write "22:00"`,
		"22.30":   `"22.30" is not a time of day: write "22:30"`,
		"22 Uhr":  `"22 Uhr" is not a time of day: write "22:00"`,
		"10pm":    `"10pm" is not a time of day: write "22:00" or "22:00:15"`,
		"-1:00":   `"-1:00" is not a time of day: write "22:00" or "22:00:15"`,
		"22:00:1": `"22:00:1" is not a time of day: write "22:00" or "22:00:15"`,
	} {
		refuses[unit.Clock](t, in, want)
	}
}

// Every value prints as a text that parses as the same value.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, unit.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "ns")))
		roundTrip(t, unit.Percent(rapid.Float64Range(0, 1).Draw(t, "share")))
		roundTrip(t, unit.Points(rapid.Float64Range(0, 100).Draw(t, "points")))
		roundTrip(t, unit.Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "bytes")))
		roundTrip(t, unit.Rate{
			Count: rapid.IntRange(0, math.MaxInt32).Draw(t, "count"),
			Per:   unit.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "per")),
		})
		roundTrip(t, unit.Clock(rapid.Int32Range(0, 86399).Draw(t, "second")))
	})
}

func roundTrip[T comparable](t *rapid.T, v T) {
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%v: %v", v, err)
	}
	var back T
	if err := json.Unmarshal(doc, &back); err != nil || back != v {
		t.Fatalf("%#v as %s reads back as %#v, %v", v, doc, back, err)
	}
}

// The published schema accepts what the parser accepts and refuses common mistakes, so that an editor and the daemon
// agree.
func TestSchema(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		schema *jsonschema.Schema
		good   []any
		bad    []any
	}{
		{
			"duration", unit.Duration(0).JSONSchema(),
			[]any{"30s", "1h30m", "2w", "300ms", "0s"},
			[]any{30, "30", "", "30m1h", "1.5h", "-3h"},
		},
		{
			"percent", unit.Percent(0).JSONSchema(),
			[]any{"85%", "99.5%", "100%", "0%", 0.85, 0},
			[]any{"85", 85, "101%", "0,85", -0.1, "NaN"},
		},
		{"points", unit.Points(0).JSONSchema(), []any{3, 0.5, "3pt"}, []any{-3, "3%", "3"}},
		{"size", unit.Size(0).JSONSchema(), []any{"20GiB", "500MB", "1.5GiB"}, []any{20, "20", "20gib", "20 GiB"}},
		{"rate", unit.Rate{}.JSONSchema(), []any{"3 per 7d", "1 per 180d"}, []any{3, "3", "3/7d", "3 per week"}},
		{"clock", unit.Clock(0).JSONSchema(), []any{"22:00", "22:00:15"}, []any{22, "24:00", "2:30", "22"}},
	} {
		doc, err := json.Marshal(c.schema)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := validator.UnmarshalJSON(strings.NewReader(string(doc)))
		if err != nil {
			t.Fatal(err)
		}
		compiler := validator.NewCompiler()
		if err := compiler.AddResource("x.json", parsed); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile("x.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range c.good {
			if err := schema.Validate(v); err != nil {
				t.Errorf("%s: %v refused: %v", c.name, v, err)
			}
		}
		for _, v := range c.bad {
			if schema.Validate(v) == nil {
				t.Errorf("%s: %v accepted", c.name, v)
			}
		}
	}
}

// No text makes a parser panic; an accepted one prints as a text that is accepted as the same value.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{
		"30s", "85%", "3pt", "20GiB", "3 per 7d", "22:00:15", "", "-1", "NaN", ".", "%", " per ",
		"0,5", "99999999999999999999h", "1e400", "\x00", "١",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		again[unit.Duration](t, s)
		again[unit.Percent](t, s)
		again[unit.Points](t, s)
		again[unit.Size](t, s)
		again[unit.Rate](t, s)
		again[unit.Clock](t, s)
	})
}

func again[T comparable, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, s string) {
	t.Helper()
	var v, back T
	if err := P(&v).UnmarshalText([]byte(s)); err != nil {
		if v != *new(T) {
			t.Fatalf("%q: refused (%v), yet the value became %v", s, err, v)
		}
		return
	}
	out, err := any(v).(encoding.TextMarshaler).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := P(&back).UnmarshalText(out); err != nil || back != v {
		t.Fatalf("%q = %v prints as %q, which reads back as %v, %v", s, v, out, back, err)
	}
}
