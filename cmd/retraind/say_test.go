package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPlainOutput(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"loss 0.3\r\nloss 0.2\n":                      "loss 0.3\nloss 0.2\n",
		"start\n\r 10%|#\r\n":                         "start\n 10%|#\n",
		" 10%|#\r 20%|##\r":                           " 10%|#\n 20%|##\n",
		"\x1b[32mok\x1b[0m\tdone":                     "ok    done",
		"\x1b[2J\x1b]0;title\a\u202eevil":             "\ufffd[2J\ufffd]0;title\ufffd\ufffdevil",
		"Traceback:\n  File \"train.py\", line 3\n\n": "Traceback:\n  File \"train.py\", line 3\n\n",
	} {
		if got := plainOutput(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Everything printed for people goes through a page or say, which replace characters that could forge a line. These
// files print data for programs, or only what the user has typed.
func TestNothingIsPrintedDirectly(t *testing.T) {
	t.Parallel()
	direct := []string{"say.go", "layout.go", "reflow.go", "cmd_init.go", "cmd_version.go"}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || slices.Contains(direct, name) {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "Fprint") {
				t.Errorf("%s: use say, or a page: names and reasons are untrusted", set.Position(call.Pos()))
			}
			return true
		})
	}
}
