package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/policy/playback"
)

func newTest(a *app) *cobra.Command {
	var only, junit string
	var update bool
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Test that a policy decides as expected on given figures over simulated time",
		Long: `Test a policy. A test file names a configuration and lists cases: figures over simulated time, and the
decisions that are expected at each time, with their reasons. No service is queried and no run starts; a year takes milliseconds.

Exit code 3: a test failed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			pattern, err := regexp.Compile(only)
			if err != nil {
				return fail(exitUsage, "--run %q is not a regular expression: %w", only, err)
			}
			var files []testedFile
			for _, path := range args {
				f, err := testFile(path, pattern, update)
				if err != nil {
					return err
				}
				files = append(files, f)
			}
			if junit != "" {
				if err := writeJUnit(junit, files); err != nil {
					return err
				}
			}
			return a.showTests(files, update)
		},
	}
	cmd.Flags().StringVar(&only, "run", "", "run only the tests whose name matches this regular expression")
	cmd.Flags().StringVar(&junit, "junit", "", "write the results as JUnit XML to this file")
	cmd.Flags().BoolVar(&update, "update", false, "write the actual decisions into the files as the expected ones")
	return cmd
}

// testedFile is the result of one file.
type testedFile struct {
	cases   *configs.Cases
	tests   []tested
	updated bool
}

// tested is the result of one test of a file.
type tested struct {
	index  int // in the file
	result playback.CaseResult
	took   time.Duration
}

func testFile(path string, pattern *regexp.Regexp, update bool) (testedFile, error) {
	c, err := configs.LoadCases(path)
	if err != nil {
		return testedFile{}, err
	}
	f := testedFile{cases: c}
	text := c.Source
	for i, t := range c.File.Tests {
		if !pattern.MatchString(t.Name) {
			continue
		}
		start := time.Now()
		r := playback.RunCase(c.Policy, t)
		f.tests = append(f.tests, tested{i, r, time.Since(start)})
		if update && !r.Passed() && r.Error == nil {
			if text, err = strictyaml.Set(text, fmt.Sprintf("tests[%d].expect", i), expectations(r.Observed)); err != nil {
				return f, fmt.Errorf("%s: %w", path, err)
			}
			f.updated = true
		}
	}
	if f.updated {
		info, err := os.Stat(path)
		if err != nil {
			return f, err
		}
		return f, replaceFile(path, text, info.Mode().Perm())
	}
	return f, nil
}

func expectations(list []playback.Expectation) string {
	var b strings.Builder
	for _, e := range list {
		b.WriteString("- " + e.YAML() + "\n")
	}
	return b.String()
}

func (a *app) showTests(files []testedFile, update bool) error {
	passed, failed := 0, 0
	var docs []testJSON
	var out bytes.Buffer
	for _, f := range files {
		for _, t := range f.tests {
			docs = append(docs, newTestJSON(f, t))
			switch {
			case t.result.Passed():
				passed++
				say(&out, "ok    %s", t.result.Name)
			case update && t.result.Error == nil:
				say(&out, "new   %s: the actual decisions were written into %s", t.result.Name, f.cases.Path)
			default:
				failed++
				f.failure(&out, t)
			}
		}
	}
	if a.json {
		if docs == nil {
			docs = []testJSON{}
		}
		if err := a.printJSON(docs); err != nil {
			return err
		}
	} else {
		say(&out, "%s passed, %d failed", text.Plural(passed, "test"), failed)
		if _, err := a.stdout.Write(out.Bytes()); err != nil {
			return err
		}
	}
	switch {
	case failed > 0:
		return silent(exitNo)
	case len(docs) == 0:
		return fail(exitNotFound, "no test has a name that matches --run")
	}
	return nil
}
