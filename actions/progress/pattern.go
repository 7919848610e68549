package progress

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Trainer is the pattern of the lines that Hugging Face Trainer, Unsloth and tqdm print.
const Trainer = "trainer"

const maxExpression = 500

// groups are the allowed names of an expression's groups.
var groups = []string{"share", "done", "total", "text"}

// Check returns what is wrong with a pattern and how to fix it; two empty strings if it is valid.
func Check(pattern string) (wrong, hint string) {
	const example = `write trainer, or an expression such as 'step (?P<done>\d+) of (?P<total>\d+)'`
	if pattern == "" || pattern == Trainer {
		return "", ""
	}
	if len(pattern) > maxExpression {
		return fmt.Sprintf("the expression has %d characters, at most %d are allowed", len(pattern), maxExpression), example
	}
	e, err := regexp.Compile(pattern)
	if err != nil {
		return err.Error(), example
	}
	has := map[string]bool{}
	for _, name := range e.SubexpNames() {
		if name != "" && !slices.Contains(groups, name) {
			return fmt.Sprintf("unknown group %q", name), "use the names share, done and total, or text"
		}
		has[name] = true
	}
	switch {
	case has["share"] && (has["done"] || has["total"]):
		return "the expression has share and also done or total", "keep share, or done and total"
	case has["done"] != has["total"]:
		return "the expression has only one of the groups done and total", "use both, or share"
	case !has["share"] && !has["done"] && !has["text"]:
		return "the expression has no named group", example
	}
	return "", ""
}

// found returns the progress that an expression matches in a line.
func found(e *regexp.Regexp, line string) (Progress, bool) {
	m := e.FindStringSubmatch(line)
	if m == nil {
		return Progress{}, false
	}
	group := func(name string) string {
		if i := e.SubexpIndex(name); i >= 0 {
			return strings.TrimSpace(m[i])
		}
		return ""
	}
	p := Progress{Text: group("text")}
	if s := group("share"); s != "" {
		p.Share = share(s, "1")
		if number, percent := strings.CutSuffix(s, "%"); percent {
			p.Share = share(number, "100")
		}
	} else {
		p.Share = share(group("done"), group("total"))
	}
	return p, p.Share != nil || p.Text != ""
}

// share returns done divided by total; nil if that is not a share. Thousands may be separated by commas.
func share(done, total string) *float64 {
	plain := func(s string) (float64, error) {
		return strconv.ParseFloat(strings.ReplaceAll(strings.TrimSpace(s), ",", ""), 64)
	}
	d, err := plain(done)
	if err != nil {
		return nil
	}
	t, err := plain(total)
	if err != nil || !(t > 0) {
		return nil
	}
	s := d / t
	if !(s >= 0 && s <= 1) {
		return nil
	}
	return &s
}
