package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/retraind/retraind/"

// sources reads comments from the module's code. It parses each package only once.
type sources struct {
	root     string
	packages map[string][]*ast.File // by directory
}

func newSources(root string) *sources {
	return &sources{root: root, packages: map[string][]*ast.File{}}
}

// files parses a package's code without its tests.
func (s *sources) files(dir string) ([]*ast.File, error) {
	if known, ok := s.packages[dir]; ok {
		return known, nil
	}
	entries, err := os.ReadDir(filepath.Join(s.root, dir))
	if err != nil {
		return nil, err
	}
	var list []*ast.File
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".go" || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(s.root, dir, e.Name()), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	s.packages[dir] = list
	return list, nil
}

// fields returns the comments of a struct's fields by name.
func (s *sources) fields(t reflect.Type) (map[string]string, error) {
	files, err := s.files(strings.TrimPrefix(t.PkgPath(), module))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		spec := typeSpec(f, t.Name())
		if spec == nil {
			continue
		}
		st, ok := spec.Type.(*ast.StructType)
		if !ok {
			break
		}
		out := map[string]string{}
		for _, field := range st.Fields.List {
			text := comment(field.Doc)
			if text == "" {
				text = comment(field.Comment)
			}
			for _, name := range field.Names {
				out[name.Name] = text
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("type %s: its declaration was not found in the code", t)
}

// values lists the constants of a named string type, in order.
func (s *sources) values(t reflect.Type) ([]string, error) {
	files, err := s.files(strings.TrimPrefix(t.PkgPath(), module))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); !ok || id.Name != t.Name() || len(v.Values) != 1 {
					continue
				}
				if text, ok := literal(v.Values[0]); ok {
					out = append(out, text)
				}
			}
		}
	}
	return out, nil
}

func typeSpec(f *ast.File, name string) *ast.TypeSpec {
	for _, decl := range f.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range g.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok && t.Name.Name == name {
				return t
			}
		}
	}
	return nil
}

// comment returns a comment as one line.
func comment(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	return strings.Join(strings.Fields(g.Text()), " ")
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

// prose turns a field's comment into a sentence of the document. The field's Go name at the start is left out if the
// rest still reads as a sentence: "DSNFile is a file with …", "Gate names the target …".
func prose(name, text string) string {
	rest, named := strings.CutPrefix(text, name+" ")
	word, more, _ := strings.Cut(rest, " ")
	switch next, _, _ := strings.Cut(more, " "); {
	case !named:
	case (word == "is" || word == "are") &&
		slices.Contains([]string{"the", "a", "an", "how", "what", "where", "when"}, next):
		text = more
	case word != "is" && strings.HasSuffix(word, "s"):
		text = rest
	}
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return cell(text)
}

// cell escapes text for a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
