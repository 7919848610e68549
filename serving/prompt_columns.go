package serving

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// unknownColumn returns an error if a template uses a text column that is not among the columns, as {{.title}},
// {{$.title}} or {{index . "title"}}. It reads the template instead of executing it, since index returns an empty text
// for an unknown column, and since an execution does not reach every branch.
func unknownColumn(t *template.Template, columns []string) error {
	w := columnWalk{template: t, columns: columns, seen: map[string]bool{}}
	w.called(t.Name(), true)
	return w.err
}

// columnWalk walks through a template. `dot` and `dollar` say whether . and $ are the text columns at a node; elsewhere
// they are other values, such as one text inside a `with`.
type columnWalk struct {
	template *template.Template
	columns  []string
	seen     map[string]bool // named templates, which may call themselves
	tree     *parse.Tree
	err      error
}

// called walks once through a named template that gets the text columns.
func (w *columnWalk) called(name string, columns bool) {
	t := w.template.Lookup(name)
	if t == nil || t.Tree == nil || !columns || w.seen[name] {
		return
	}
	w.seen[name] = true
	caller := w.tree
	w.tree = t.Tree
	w.list(t.Root, true, true)
	w.tree = caller
}

func (w *columnWalk) list(l *parse.ListNode, dot, dollar bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		w.node(n, dot, dollar)
	}
}

func (w *columnWalk) node(n parse.Node, dot, dollar bool) {
	switch n := n.(type) {
	case *parse.ActionNode:
		w.pipe(n.Pipe, dot, dollar)
	case *parse.IfNode:
		w.branch(n.BranchNode, dot, dot, dollar)
	case *parse.WithNode:
		w.branch(n.BranchNode, isColumns(n.Pipe, dot, dollar), dot, dollar)
	case *parse.RangeNode:
		w.branch(n.BranchNode, false, dot, dollar)
	case *parse.TemplateNode:
		w.pipe(n.Pipe, dot, dollar)
		w.called(n.Name, isColumns(n.Pipe, dot, dollar))
	case *parse.PipeNode:
		w.pipe(n, dot, dollar)
	case *parse.ChainNode:
		w.node(n.Node, dot, dollar)
	case *parse.FieldNode:
		if dot {
			w.column(n, n.Ident[0])
		}
	case *parse.VariableNode:
		if dollar && n.Ident[0] == "$" && len(n.Ident) > 1 {
			w.column(n, n.Ident[1])
		}
	}
}

// branch walks through if, with and range; `inner` says whether . is the text columns in the part before {{else}}.
func (w *columnWalk) branch(b parse.BranchNode, inner, dot, dollar bool) {
	w.pipe(b.Pipe, dot, dollar)
	w.list(b.List, inner, dollar)
	w.list(b.ElseList, dot, dollar)
}

func (w *columnWalk) pipe(p *parse.PipeNode, dot, dollar bool) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		for _, n := range c.Args {
			w.node(n, dot, dollar)
		}
		if len(c.Args) < 3 || c.Args[0].String() != "index" || !are(c.Args[1], dot, dollar) {
			continue
		}
		if column, ok := c.Args[2].(*parse.StringNode); ok {
			w.column(c, column.Text)
		}
	}
}

// column keeps the first unknown column.
func (w *columnWalk) column(n parse.Node, name string) {
	if w.err != nil || slices.Contains(w.columns, name) {
		return
	}
	at, _ := w.tree.ErrorContext(n)
	w.err = fmt.Errorf("%s: {{%s}} uses the column %q; the text columns are %s",
		strings.TrimPrefix(at, w.template.Name()+":"), n, name, strings.Join(w.columns, ", "))
}

// isColumns reports whether a pipeline is only . or $, and refers to the text columns.
func isColumns(p *parse.PipeNode, dot, dollar bool) bool {
	return p != nil && len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1 && are(p.Cmds[0].Args[0], dot, dollar)
}

// are reports whether a node is . or $, and refers to the text columns.
func are(n parse.Node, dot, dollar bool) bool {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.VariableNode:
		return dollar && len(n.Ident) == 1 && n.Ident[0] == "$"
	}
	return false
}
