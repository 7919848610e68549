package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/retraind/retraind/policy"
)

// failure prints the position, the expected and the actual result, and the reason.
func (f testedFile) failure(out *bytes.Buffer, t tested) {
	path := fmt.Sprintf("tests[%d]", t.index)
	say(out, "FAIL  %s (%s:%d)", t.result.Name, f.cases.Path, f.cases.Line(path))
	if t.result.Error != nil {
		say(out, "      %v", t.result.Error)
		return
	}
	loc := f.cases.Rules.File.Location()
	for _, miss := range t.result.Failures {
		line := f.cases.Line(path)
		if miss.Index >= 0 {
			line = f.cases.Line(fmt.Sprintf("%s.expect[%d]", path, miss.Index))
		}
		say(out, "      %s, line %d", miss.At.In(loc).Format("Mon 2006-01-02 15:04 MST"), line)
		for _, d := range miss.What {
			say(out, "        %-9s want %s", d.What, d.Want)
			say(out, "        %-9s got  %s", "", d.Got)
		}
		if miss.Decision == nil {
			continue
		}
		var table bytes.Buffer
		_ = miss.Decision.Render(&table,
			policy.RenderOptions{Location: loc, Line: lines(f.cases.Rules, policy.Decision{Model: f.cases.Model})})
		for line := range strings.Lines(table.String()) {
			if line = strings.TrimRight(line, "\n"); line != "" && !strings.HasPrefix(line, "Start it now") {
				say(out, "        | %s", line)
			}
		}
	}
}

// testJSON is one test in the output of --json.
type testJSON struct {
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Name     string        `json:"name"`
	Passed   bool          `json:"passed"`
	Error    string        `json:"error,omitempty"`
	Failures []failureJSON `json:"failures,omitempty"`
}

type failureJSON struct {
	At   time.Time `json:"at"`
	Line int       `json:"line"`
	What string    `json:"what"`
	Want string    `json:"want"`
	Got  string    `json:"got"`
}

func newTestJSON(f testedFile, t tested) testJSON {
	path := fmt.Sprintf("tests[%d]", t.index)
	out := testJSON{File: f.cases.Path, Line: f.cases.Line(path), Name: t.result.Name, Passed: t.result.Passed()}
	if t.result.Error != nil {
		out.Error = t.result.Error.Error()
	}
	for _, miss := range t.result.Failures {
		line := out.Line
		if miss.Index >= 0 {
			line = f.cases.Line(fmt.Sprintf("%s.expect[%d]", path, miss.Index))
		}
		for _, d := range miss.What {
			out.Failures = append(out.Failures, failureJSON{miss.At, line, d.What, d.Want, d.Got})
		}
	}
	return out
}

// The part of JUnit's format that --junit writes.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
	Error   *junitFailure `xml:"error,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(path string, files []testedFile) error {
	var doc junitSuites
	for _, f := range files {
		suite := junitSuite{Name: f.cases.Path, Tests: len(f.tests)}
		var all time.Duration
		for _, t := range f.tests {
			all += t.took
			c := junitCase{
				Name: t.result.Name, Class: f.cases.Model, File: f.cases.Path,
				Line: f.cases.Line(fmt.Sprintf("tests[%d]", t.index)), Time: inSeconds(t.took),
			}
			var said bytes.Buffer
			f.failure(&said, t)
			switch {
			case t.result.Error != nil:
				suite.Errors++
				c.Error = &junitFailure{t.result.Error.Error(), said.String()}
			case !t.result.Passed():
				suite.Failures++
				first := t.result.Failures[0].What[0]
				c.Failure = &junitFailure{fmt.Sprintf("%s: want %s, got %s", first.What, first.Want, first.Got), said.String()}
			}
			suite.Cases = append(suite.Cases, c)
		}
		suite.Time = inSeconds(all)
		doc.Suites = append(doc.Suites, suite)
	}
	data, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append([]byte(xml.Header), append(data, '\n')...), 0o644)
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
