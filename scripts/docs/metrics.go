package main

import (
	"errors"
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// metric is one family of metrics as declared in the code.
type metric struct {
	name, kind, help string
	labels           []string
}

// metrics renders the table of all metrics of package status.
func metrics(src *sources) (string, error) {
	list, err := declared(src)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range list {
		labels := ""
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, cell(m.help))
	}
	return b.String(), nil
}

// declared finds the declarations: gauge("name", "help", labels…), and the Opts of Prometheus' own constructors.
func declared(src *sources) ([]metric, error) {
	files, err := src.files("status")
	if err != nil {
		return nil, err
	}
	var list []metric
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "gauge" && len(call.Args) >= 2 {
				var m metric
				name, named := literal(call.Args[0])
				m.help, _ = literal(call.Args[1])
				for _, arg := range call.Args[2:] {
					label, _ := literal(arg)
					m.labels = append(m.labels, label)
				}
				if m.name, m.kind = "retraind_"+name, "gauge"; named {
					list = append(list, m)
				}
			}
			if opts, ok := call.Args[0].(*ast.CompositeLit); ok {
				if m, ok := fromOpts(opts); ok {
					if len(call.Args) > 1 {
						m.labels = append(m.labels, texts(call.Args[1])...)
					}
					list = append(list, m)
				}
			}
			return true
		})
	}
	if len(list) == 0 {
		return nil, errors.New("package status declares no metric that this program understands")
	}
	slices.SortStableFunc(list, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// fromOpts reads prometheus.CounterOpts, GaugeOpts and HistogramOpts.
func fromOpts(lit *ast.CompositeLit) (metric, bool) {
	sel, ok := lit.Type.(*ast.SelectorExpr)
	if !ok || !strings.HasSuffix(sel.Sel.Name, "Opts") {
		return metric{}, false
	}
	m := metric{kind: strings.ToLower(strings.TrimSuffix(sel.Sel.Name, "Opts"))}
	for _, element := range lit.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch key, _ := pair.Key.(*ast.Ident); {
		case key == nil:
		case key.Name == "Name":
			m.name, _ = literal(pair.Value)
		case key.Name == "Help":
			m.help, _ = literal(pair.Value)
		case key.Name == "ConstLabels":
			if labels, ok := pair.Value.(*ast.CompositeLit); ok {
				for _, l := range labels.Elts {
					if kv, ok := l.(*ast.KeyValueExpr); ok {
						label, _ := literal(kv.Key)
						m.labels = append(m.labels, label)
					}
				}
			}
		}
	}
	return m, m.name != ""
}

// texts reads a list of string literals.
func texts(e ast.Expr) []string {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	var out []string
	for _, element := range lit.Elts {
		if text, ok := literal(element); ok {
			out = append(out, text)
		}
	}
	return out
}
