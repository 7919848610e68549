package retraind_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/retraind/retraind"

// level orders the packages: a package imports only packages of a lower level, its own subpackages, and those that
// sameLevel allows. Packages of internal that are not listed have no level: any package may import them.
var level = map[string]int{
	"internal/check": 0, "internal/text": 0, "internal/unit": 0,
	"serving": 1, "gpu": 1, "store": 1, "systemd": 1, "watch": 1,
	"drift":      2,
	"classifier": 3, "policy": 3, "notify": 3,
	"watch/labelevent": 2, "watch/postgres": 2,
	"watch/labelfiles": 3, "watch/natssource": 3, "watch/webhook": 3, "watch/sources": 3,
	"actions": 4, "ingest": 4,
	"configs": 5, "status": 5,
	"internal/dataset": 6, "internal/evaluator": 6, "internal/gpugate": 6,
	"internal/backend": 7, "internal/offline": 7,
	"drift/cmd":       9, // imports everything that decides, and no package imports it
	"internal/daemon": 8,
	"cmd":             9,
}

// sameLevel lists the allowed imports between packages of one level.
var sameLevel = map[string][]string{
	"watch/sources": {"watch/labelfiles", "watch/natssource", "watch/webhook"},
}

// allowedImporters lists, by library, the only packages that may import it in code that is linked into the binary.
var allowedImporters = map[string][]string{
	// internal/demo acts as the user's own programs: one that edits labels and one that subscribes.
	"github.com/jackc/pgx": {"watch/postgres", "store", "internal/pgtest", "internal/demo"},
	"github.com/nats-io/nats.go": {
		"watch/natssource", "notify", "status", "internal/daemon",
		"internal/natstest", "internal/demo",
	},
	"github.com/NVIDIA/go-nvml":                        {"gpu/nvml"},
	"github.com/spf13/viper":                           {"configs"},
	"go.yaml.in/yaml":                                  {"configs/strictyaml", "actions/compose"},
	"os/signal":                                        {"cmd"},
	"github.com/dbos-inc/dbos-transact-golang":         {"actions", "store"},
	"github.com/coreos/go-systemd":                     {"systemd", "actions"},
	"github.com/prometheus/client_golang":              {"status"},
	"github.com/spf13/cobra":                           {"cmd"},
	"github.com/rogpeppe/go-internal/testscript":       {},
	"github.com/retraind/retraind/internal/pgtest":     {},
	"github.com/retraind/retraind/internal/natstest":   {},
	"github.com/retraind/retraind/internal/watchtest":  {},
	"github.com/retraind/retraind/internal/waittest":   {},
	"github.com/retraind/retraind/internal/ollamatest": {},
	"github.com/retraind/retraind/internal/dockertest": {},
	"github.com/retraind/retraind/internal/doctest":    {},
	"github.com/fsnotify/fsnotify":                     {"watch/labelfiles", "internal/daemon", "classifier"},
}

const (
	maxLines     = 600
	maxMainLines = 40
)

// source is one Go file of the module.
type source struct {
	path  string // slash-separated, from the root
	dir   string
	test  bool
	lines int
	file  *ast.File
}

// imports lists what the file imports.
func (s source) imports() []string {
	var list []string
	for _, spec := range s.file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err)
		}
		list = append(list, name)
	}
	return list
}

// levelled returns the key of level to which a directory belongs, or "" if there is none.
func levelled(dir string) string {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := level[dir]; ok {
			return dir
		}
	}
	return ""
}

// parseAll parses every file, whatever its build tags: a rule must hold in each variant of the binary.
func parseAll(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	set := token.NewFileSet()
	var all []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." &&
				(strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"testdata", "tools", "bin"}, entry.Name())) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		slashed := filepath.ToSlash(name)
		all = append(all, source{
			slashed, path.Dir(slashed), strings.HasSuffix(name, "_test.go"),
			strings.Count(string(text), "\n"), file,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("only %d Go files found: the test does not see the repository", len(all))
	}
	return set, all
}

func TestImportsOnlyGoDown(t *testing.T) {
	t.Parallel()
	_, all := parseAll(t)
	for _, s := range all {
		from := levelled(s.dir)
		if s.test || from == "" {
			continue
		}
		for _, name := range s.imports() {
			target, ok := strings.CutPrefix(name, module+"/")
			if !ok {
				continue
			}
			to := levelled(target)
			switch {
			case to == "" && strings.HasPrefix(target, "internal/"):
				// A helper without a level (internal/…): any package may import it, unless allowedImporters says
				// otherwise.
			case to == "":
				t.Errorf("%s imports %s, which has no level: add it to layout_test.go", s.path, target)
			case to == from, level[to] < level[from], slices.Contains(sameLevel[from], to):
			default:
				t.Errorf("%s (level %d) imports %s (level %d): imports only go down", s.path, level[from], target, level[to])
			}
		}
	}
}

func TestLibrariesHaveTheirImporters(t *testing.T) {
	t.Parallel()
	_, all := parseAll(t)
	for _, s := range all {
		// internal/deps pins requirements; internal/…test packages are test code.
		if s.test || s.dir == "internal/deps" || strings.HasPrefix(s.dir, "internal/") && strings.HasSuffix(s.dir, "test") {
			continue
		}
		for _, name := range s.imports() {
			for library, importers := range allowedImporters {
				if !within(name, library) || slices.ContainsFunc(importers, func(p string) bool { return within(s.dir, p) }) {
					continue
				}
				t.Errorf("%s imports %s, which only %v may", s.path, name, importers)
			}
		}
	}
}

// within reports whether a path is base or below it; a version suffix ("/v5") is below it.
func within(name, base string) bool {
	return name == base || strings.HasPrefix(name, base+"/")
}

// The dependencies of test helpers must never be linked into the program, directly or indirectly.
func TestBinaryHasNoTestCode(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("cmd/retraind"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-deps", "./cmd/retraind").Output()
	if err != nil {
		t.Fatalf("go list -deps ./cmd/retraind: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 10 {
		t.Fatalf("go list names only %d packages", len(deps))
	}
	for _, name := range deps {
		own, isOwn := strings.CutPrefix(name, module+"/")
		switch {
		case name == "testing", strings.HasPrefix(name, "github.com/google/go-cmp/"),
			strings.HasPrefix(name, "pgregory.net/rapid"),
			strings.HasPrefix(name, "github.com/NVIDIA/go-nvml/pkg/nvml/mock"),
			isOwn && strings.HasPrefix(own, "internal/") && strings.HasSuffix(own, "test"),
			isOwn && own == "internal/deps":
			t.Errorf("the binary links %s", name)
		}
	}
}

func TestOneCommentPerPackage(t *testing.T) {
	t.Parallel()
	_, all := parseAll(t)
	comments := map[string][]string{}
	for _, s := range all {
		if s.test {
			continue
		}
		if _, ok := comments[s.dir]; !ok {
			comments[s.dir] = nil
		}
		if s.file.Doc != nil {
			comments[s.dir] = append(comments[s.dir], s.path)
		}
	}
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("package %s has %d package comments %v, want exactly one", dir, len(files), files)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	_, all := parseAll(t)
	for _, s := range all {
		if s.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d", s.path, s.lines, maxLines)
		}
		if strings.HasPrefix(s.path, "cmd/") && path.Base(s.path) == "main.go" && s.lines > maxMainLines {
			t.Errorf("%s has %d lines, more than %d", s.path, s.lines, maxMainLines)
		}
	}
}

func TestNoInit(t *testing.T) {
	t.Parallel()
	set, all := parseAll(t)
	for _, s := range all {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init runs before anyone can say no; construct it where it is needed", set.Position(f.Pos()))
			}
		}
	}
}

// A test waits for a condition, not for a time. In a synctest bubble time is virtual, so sleeping is allowed there.
func TestTestsDoNotSleep(t *testing.T) {
	t.Parallel()
	set, all := parseAll(t)
	for _, s := range all {
		if !s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if isCall(call, "synctest", "Test") {
				return false
			}
			if isCall(call, "time", "Sleep") {
				t.Errorf("%s: a test sleeps; wait for the event it means", set.Position(call.Pos()))
			}
			return true
		})
	}
}

func isCall(call *ast.CallExpr, pkg, name string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg && sel.Sel.Name == name
}

// Each target of the Makefile runs one script, and the continuous integration runs targets.
func TestMakefileCallsScripts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"demo", "test", "soak", "e2e", "bench", "lint", "build", "install"} {
		if !strings.Contains(string(text), "\n"+target+":\n\t@scripts/"+target+".sh\n") {
			t.Errorf("Makefile: target %s does not call scripts/%s.sh and nothing else", target, target)
		}
	}
	ci, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"test", "soak", "e2e"} {
		if !strings.Contains(string(ci), "\nmake "+target+"\n") {
			t.Errorf(".ci/run does not call make %s", target)
		}
	}
}
