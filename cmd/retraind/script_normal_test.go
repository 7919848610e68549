package main

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/retraind/retraind/internal/text"
)

// volatile are the parts that differ from run to run, with their replacements. The longer ones must come first.
var volatile = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`\b01[0-9a-hjkmnp-tv-z]{24}\b`), "RUN"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "DIGEST"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "TIME"},
	{
		regexp.MustCompile(`\b((Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(\d{4}-\d\d-\d\d )?\d\d:\d\d(:\d\d)? (UTC|CET|CEST)\b`),
		"TIME",
	},
	{regexp.MustCompile(`\b\d+(\.\d+)? (ms|s|min|h|d)( \d+ (s|min|h))? ago\b`), "AGO"},
	{regexp.MustCompile(`\b\d+h\d+m\b|\b\d+m\b|\b\d+(\.\d+)?m?s\b`), "SPAN"},
	{regexp.MustCompile(`\b\d+(\.\d+)? (ms|s)\b|\b\d+ (min|h|d)( \d+ (s|min|h))?\b`), "SPAN"},
	{regexp.MustCompile(`\w+ \(uid \d+, pid \d+\)`), "USER"},
	{regexp.MustCompile(`pid \d+`), "pid PID"},
	{
		// They are asked concurrently.
		regexp.MustCompile(`\d+ of (\d+) texts failed( \(stopped after \d+ failures in a row\))?, the first: item more\d+`),
		"N of $1 texts failed, the first: item X",
	},
	{regexp.MustCompile(`(?m)^( +window +).*(\n +TIME for SPAN)*`), "${1}WINDOWS"},
	{regexp.MustCompile(`(?m)^( +series +)\d+ evaluations.*`), "${1}SERIES"},           // their number depends on how changes coalesce
	{regexp.MustCompile(`(?m)^ +events +\d+ events? not yet published on NATS\n`), ""}, // shown briefly after each change
	{regexp.MustCompile(`\^{2,}`), "^^^"},                                              // as long as the text above
	{regexp.MustCompile(`"\d\d:\d\d"`), `"HH:MM"`},
	{regexp.MustCompile(`127(\.\d+){3}:\d{5}\b`), "ADDRESS"},
	{regexp.MustCompile(`\bgo1\.\d+(\.\d+)?\b`), "GO"},
}

// columns matches the gap between two columns, whose width depends on their contents. Tests with fixed figures check
// the alignment.
var columns = regexp.MustCompile(`(\S) {2,}(\S)`)

// normal replaces what differs from run to run, so that the rest can be compared.
func normal(ts *testscript.TestScript, said string) string {
	for _, name := range []string{"PGDIR", "WORK"} {
		if v := ts.Getenv(name); v != "" {
			said = strings.ReplaceAll(said, v, "$"+name)
		}
	}
	if v := ts.Getenv("PGDATABASE"); strings.HasPrefix(v, "test_") {
		said = strings.ReplaceAll(said, v, "DATABASE")
	}
	for _, name := range []string{"CLASSIFIER", "NATS", "PAGE"} { // before all addresses are replaced
		if v := ts.Getenv(name); v != "" {
			said = strings.ReplaceAll(said, v, "$"+name)
		}
	}
	runs, err := filepath.Glob(filepath.Join(ts.Getenv("STATE"), "models", "*", "runs", "*"))
	ts.Check(err)
	for _, run := range runs {
		id := filepath.Base(run)
		said = strings.ReplaceAll(said, id, "RUN")
		said = strings.ReplaceAll(said, text.RunID(id), "RUN")
	}
	for _, v := range volatile {
		said = v.find.ReplaceAllString(said, v.put)
	}
	return columns.ReplaceAllString(said, "$1  $2")
}
