package configs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/retraind/retraind/configs/strictyaml"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/playback"
)

// Cases is a file of policy tests, with the policy under test.
type Cases struct {
	File   playback.CaseFile
	Path   string
	Source []byte
	Policy *policy.Policy
	Rules  *Loaded // the configuration with the policy
	Model  string

	doc *strictyaml.Document
}

// Line returns the line of a value of the tests, such as "tests[2].expect[0]".
func (c *Cases) Line(path string) int {
	line, _, _ := c.doc.Position(path)
	return line
}

// LoadCases reads a file of policy tests, strictly, and the configuration that it names. The error is an *InvalidError
// when one of the two could be read and has faults.
func LoadCases(path string) (*Cases, error) {
	source, _, err := read("file of tests", path)
	if err != nil {
		return nil, err
	}
	c := &Cases{Path: path, Source: source}
	c.doc, err = strictyaml.Decode(path, source, &c.File)
	var found strictyaml.Problems
	if errors.As(err, &found) {
		return nil, &InvalidError{Path: path, Source: source, Problems: found}
	}
	if err != nil {
		return nil, err
	}
	problems := c.File.Validate()
	if len(problems) == 0 {
		rules := c.File.Policy
		if !filepath.IsAbs(rules) {
			rules = filepath.Join(filepath.Dir(path), rules)
		}
		switch c.Rules, err = Load(rules); {
		case errors.Is(err, fs.ErrNotExist):
			problems.Errorf("policy", "correct the path; it is relative to this file", "there is no configuration %s", rules)
		case err != nil:
			return nil, err
		default:
			problems = c.choose()
		}
	}
	if located := c.doc.Locate(problems); located.Errors() > 0 {
		return nil, &InvalidError{Path: path, Source: source, Problems: located}
	}
	c.Policy, err = c.Rules.File.Policy(c.Model)
	return c, err
}

// choose finds the model under test, and checks the times of the tests in the configuration's time zone.
func (c *Cases) choose() check.Problems {
	var p check.Problems
	names := c.Rules.File.Names()
	switch c.Model = c.File.Model; {
	case c.Model == "" && len(names) == 1:
		c.Model = names[0]
	case c.Model == "":
		p.Errorf("model", "write model: with one of "+strings.Join(names, ", "), "the configuration has several models")
	case !slices.Contains(names, c.Model):
		p.Errorf("model", "the models are "+strings.Join(names, ", "), "the configuration has no model %q", c.Model)
	}
	for i, t := range c.File.Tests {
		if _, err := playback.ParseCaseTime(t.Start, c.Rules.File.Location()); err != nil {
			p.Errorf(check.Index("tests", i)+".start", "", "%v", err)
		}
	}
	return p
}
