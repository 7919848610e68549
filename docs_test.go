package retraind_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
)

// papers returns the documents that these tests check.
func papers(t *testing.T) map[string]string {
	t.Helper()
	list, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, path := range append(list, "README.md", "CHANGELOG.md", "CONTRIBUTING.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = string(text)
	}
	if len(out) < 10 {
		t.Fatalf("only %d documents found", len(out))
	}
	return out
}

// block is a fenced block of a document.
type block struct{ path, language, text string }

func (b block) String() string {
	first, _, _ := strings.Cut(b.text, "\n")
	return fmt.Sprintf("%s: the block that begins with %q", b.path, first)
}

// blocks finds the fenced blocks of all documents.
func blocks(t *testing.T) []block {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	var out []block
	for path, text := range papers(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			out = append(out, block{path, m[1], m[2]})
		}
	}
	return out
}

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if n := strings.Count(papers(t)["README.md"], "\n"); n > 250 {
		t.Errorf("README.md has %d lines, at most 250: the rest belongs into docs/", n)
	}
}

// Each page of docs begins by naming its readers, and ends with a link to the next page.
func TestPagesNameReadersAndNextPage(t *testing.T) {
	t.Parallel()
	for path, text := range papers(t) {
		if !strings.HasPrefix(path, "docs/") {
			continue
		}
		paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
		if first := paragraphs[1]; !strings.HasPrefix(first, "For ") && !strings.HasPrefix(first, "Reference for ") {
			t.Errorf("%s does not begin with its readers: %.80s", path, first)
		}
		if last := paragraphs[len(paragraphs)-1]; !strings.HasPrefix(last, "Next: [") {
			t.Errorf("%s does not end with where to go next: %.80s", path, last)
		}
	}
}

// Every YAML block of the documents loads: a whole configuration as it is, a part of one inside a minimal model.
func TestConfigurationsInDocumentsLoad(t *testing.T) {
	t.Parallel()
	const labels = `    labels: {postgres: {dsn: "host=localhost", table: items, id: id, text: [title], label: category}}
`
	const frame = `version: 1
models:
  example:
` + labels + `    serving: {classify: "http://localhost/classify", health: "http://localhost/health"}
`
	const holidays = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	whole, parts := 0, 0
	for _, b := range blocks(t) {
		if b.language != "yaml" || strings.HasPrefix(b.text, "services:") { // a file of docker compose
			continue
		}
		text := b.text
		if strings.HasPrefix(text, "version:") || strings.HasPrefix(text, "#") {
			whole++
		} else {
			parts++
			switch {
			case strings.HasPrefix(text, "when:"):
				text = "retrain_when:\n  " + text
			case !strings.HasPrefix(text, "retrain_when:"):
				text = "retrain_when: {max_age: 90d}\n" + text
			}
			within := frame
			if strings.Contains(text, "\nlabels:") {
				within = strings.Replace(frame, labels, "", 1)
			}
			text = within + "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "holidays.ics"), []byte(holidays), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := configs.Parse(filepath.Join(dir, "retraind.yaml"), []byte(text))
		var invalid *configs.InvalidError
		if errors.As(err, &invalid) {
			t.Errorf("%s does not load:\n%v", b, invalid)
		} else if err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
	if whole < 4 || parts < 3 {
		t.Errorf("%d whole configurations and %d parts found: this test does not see the documents", whole, parts)
	}
}

// Every JSON block of the documents is valid JSON, and the event in it can be decoded.
func TestJSONInDocumentsIsValid(t *testing.T) {
	t.Parallel()
	events := 0
	for _, b := range blocks(t) {
		if b.language != "json" {
			continue
		}
		if !json.Valid([]byte(b.text)) {
			t.Errorf("%s is not JSON", b)
		}
		if strings.Contains(b.text, "specversion") {
			events++
			e, err := notify.Decode([]byte(b.text))
			if err == nil {
				_, err = notify.Unpack[notify.Finished](e)
			}
			if err != nil {
				t.Errorf("%s: %v", b, err)
			}
		}
	}
	if events != 1 {
		t.Errorf("%d events found, want 1", events)
	}
}

var link = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)

// Each link names an existing file and heading.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := papers(t)
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link %s leads nowhere", path, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(all[file]), anchor) {
				t.Errorf("%s: %s has no heading #%s", path, file, anchor)
			}
		}
	}
}

// Every picture is shown by a document, every picture that a document shows exists, and none is so large that a page
// would load slowly.
func TestPicturesAreShown(t *testing.T) {
	t.Parallel()
	const most = 150 << 10 // bytes
	reference := regexp.MustCompile(`(?:!\[[^\]]*\]\(|(?:src|srcset)=")([^)"]+)`)
	shown := map[string]bool{}
	for path, text := range papers(t) {
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			file := filepath.Join(filepath.Dir(path), m[1])
			shown[file] = true
			info, err := os.Stat(file)
			if err != nil {
				t.Errorf("%s shows %s, which is not there", path, file)
			} else if info.Size() > most {
				t.Errorf("%s has %d bytes, more than %d", file, info.Size(), most)
			}
		}
	}
	for _, pattern := range []string{"*.svg", "*.png"} {
		files, err := filepath.Glob(filepath.Join("docs", "pictures", pattern))
		if err != nil || len(files) < 2 {
			t.Errorf("%d pictures %s: %v", len(files), pattern, err)
		}
		for _, file := range files {
			if !shown[file] {
				t.Errorf("no document shows %s", file)
			}
		}
	}
}

// anchors returns the headings of a document in the form of link anchors.
func anchors(text string) []string {
	var out []string
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		heading := strings.TrimLeft(lines.Text(), "#")
		if heading == lines.Text() || !strings.HasPrefix(heading, " ") {
			continue
		}
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading)))
	}
	return out
}

var filename = regexp.MustCompile("`((?:actions|classifier|cmd|configs|docs|drift|gpu|internal|notify|policy|scripts|status|store|systemd|watch)/[A-Za-z0-9_./-]+|[a-z_]+_test\\.go)`")

// Files that a document names exist.
func TestNamedFilesExist(t *testing.T) {
	t.Parallel()
	named := 0
	for path, text := range papers(t) {
		for _, m := range filename.FindAllStringSubmatch(text, -1) {
			named++
			if _, err := os.Stat(m[1]); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s names %s, which is not there", path, m[1])
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d files are named: this test does not see them", named)
	}
}

// Each make target that a document names is in the Makefile.
func TestNamedTargetsExist(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile("(?m)(?:`|^|sudo )make ([a-z0-9]+)")
	for path, text := range papers(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s names make %s, which is no target", path, m[1])
			}
		}
	}
}

// constants returns the values of a file's constants whose names begin with prefix, or whose type is prefix, by name.
func constants(t *testing.T, path, prefix string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		typed, _ := spec.Type.(*ast.Ident)
		name := spec.Names[0].Name
		lit, isLiteral := spec.Values[0].(*ast.BasicLit)
		if !isLiteral || !strings.HasPrefix(name, prefix) && (typed == nil || typed.Name != prefix) {
			return true
		}
		text := lit.Value
		if lit.Kind == token.STRING {
			text, _ = strconv.Unquote(text)
		}
		out[name] = text
		return true
	})
	if len(out) < 3 {
		t.Fatalf("%s: only %d constants of %s found", path, len(out), prefix)
	}
	return out
}

// Each state and reason that people see is explained in a table.
func TestWordsAreExplained(t *testing.T) {
	t.Parallel()
	all := papers(t)
	explained := func(path, word string) {
		t.Helper()
		if !strings.Contains(all[path], "\n| `"+word+"` |") {
			t.Errorf("%s does not explain %q in a table of its own", path, word)
		}
	}
	for _, word := range constants(t, "status/status.go", "Phase") {
		explained("docs/operations.md", word)
	}
	for _, word := range constants(t, "policy/history.go", "Outcome") {
		explained("docs/operations.md", word)
	}
	for _, word := range constants(t, "store/states.go", "StepState") {
		if !strings.Contains(all["docs/operations.md"], "`"+word+"`") {
			t.Errorf("docs/operations.md does not name the end %q of a step", word)
		}
	}
	for _, reason := range policy.Reasons() {
		explained("docs/operations.md", string(reason))
	}
	for _, code := range constants(t, "cmd/retraind/exit.go", "exit") {
		if !strings.Contains(all["README.md"], "\n| "+code+" |") {
			t.Errorf("README.md does not explain the exit code %s", code)
		}
	}
	for _, e := range notify.Catalogue() {
		if !strings.Contains(all["docs/events.md"], "\n### "+string(e.Kind)+"\n") {
			t.Errorf("docs/events.md does not describe %s", e.Kind)
		}
	}
}

// docs/pipelines.md describes exactly the variables that commands get.
func TestVariablesOfCommandsAreDocumented(t *testing.T) {
	t.Parallel()
	variable := regexp.MustCompile(`RETRAIND_[A-Z_]+`)
	set := map[string]bool{}
	for _, path := range []string{"actions/command.go", "actions/runner/kill.go", "actions/compose/oneoff.go"} {
		code, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(RETRAIND_[A-Z_]+)"`).FindAllStringSubmatch(string(code), -1) {
			set[m[1]] = true
		}
	}
	if len(set) < 10 {
		t.Fatalf("only %d variables found in the code", len(set))
	}
	text := papers(t)["docs/pipelines.md"]
	for name := range set {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/pipelines.md does not explain %s", name)
		}
	}
	for _, name := range variable.FindAllString(text, -1) {
		if !set[name] {
			t.Errorf("docs/pipelines.md names %s, which no command gets", name)
		}
	}
}
