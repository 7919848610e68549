package policy

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
)

// numbers are the variables of an expression. Accuracies, shares and drops are all fractions, so that "drop >
// 0.03" and "accuracy < 0.85" use the same unit.
type numbers struct {
	Accuracy     float64 `expr:"accuracy"`
	Low          float64 `expr:"low"`
	High         float64 `expr:"high"`
	Drop         float64 `expr:"drop"`
	MacroF1      float64 `expr:"macro_f1"`
	MacroF1Drop  float64 `expr:"macro_f1_drop"`
	Balanced     float64 `expr:"balanced_accuracy"`
	Kappa        float64 `expr:"kappa"`
	MCC          float64 `expr:"mcc"`
	Majority     float64 `expr:"majority"`
	WorstRecall  float64 `expr:"worst_recall"`
	HeldOut      int     `expr:"held_out"`
	Scored       int     `expr:"scored"`
	Correct      int     `expr:"correct"`
	Items        int     `expr:"items"`
	FormatErrors float64 `expr:"format_errors"`
	Changed      int     `expr:"changed"`
	ChangedShare float64 `expr:"changed_share"`
	NewExamples  int     `expr:"new_examples"`
	Vanished     int     `expr:"vanished"`
	PSI          float64 `expr:"psi"`
	RightToWrong int     `expr:"right_to_wrong"`
	WrongToRight int     `expr:"wrong_to_right"`
	RelabelP     float64 `expr:"relabel_p"`
	Authors      int     `expr:"authors"`
	NewItems     int     `expr:"new_items"`
	NewErrors    int     `expr:"new_errors"`
	Alarmed      bool    `expr:"alarmed"`
	AgeHours     float64 `expr:"age_hours"`
}

func numbersOf(r *drift.Report, now time.Time) numbers {
	n := numbers{
		Accuracy: r.Accuracy, Low: r.Low, High: r.High, Drop: r.Drop / 100, MacroF1: r.MacroF1,
		MacroF1Drop: r.MacroF1Drop / 100, Balanced: r.Balanced, Kappa: r.Kappa, MCC: r.MCC, Majority: r.Majority,
		WorstRecall: 1,
		HeldOut:     r.HeldOut, Scored: r.Scored, Correct: r.Correct, FormatErrors: r.FormatErrorShare(),
		Items: r.Labels.Items, Changed: r.Labels.Changed, ChangedShare: r.Labels.Share, Vanished: len(r.Labels.Gone),
		PSI: r.Labels.PSI, RightToWrong: r.Relabels.RightToWrong, WrongToRight: r.Relabels.WrongToRight,
		RelabelP: r.Relabels.P,
		Authors:  r.Relabels.Authors,
		NewItems: r.NewItems.N, NewErrors: r.NewItems.Errors, Alarmed: r.NewItems.Alarmed,
	}
	for i := range r.Category {
		if c := &r.Category[i]; c.Support > 0 {
			n.WorstRecall = min(n.WorstRecall, c.Recall)
		}
	}
	for _, examples := range r.Labels.New {
		n.NewExamples = max(n.NewExamples, examples)
	}
	if r.Baseline != nil {
		n.AgeHours = max(0, now.Sub(r.Baseline.At).Hours())
	}
	return n
}

func numberNames() []string {
	t := reflect.TypeFor[numbers]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("expr")
	}
	return names
}

var (
	unknownName = regexp.MustCompile(`(?:unknown name|has no field) ([A-Za-z_][A-Za-z0-9_]*)`)
	wrongType   = regexp.MustCompile(`expected bool, but got (\w+)`)
)

// compileWhen checks and compiles an expression. It may contain the names of numbers, constants, comparisons,
// arithmetic, choices (a ? b : c), the words and, or, not, and the functions abs, min, max. It contains no loops, so
// its cost is limited by its length.
func compileWhen(text string) (*vm.Program, error) {
	const longest = 1000
	if len(text) > longest {
		return nil, &unit.Error{
			Message: fmt.Sprintf("the expression has %d characters", len(text)),
			Hint:    fmt.Sprintf("write at most %d", longest),
		}
	}
	program, err := expr.Compile(text,
		expr.Env(numbers{}), expr.AsBool(), expr.MaxNodes(200), expr.Optimize(false), expr.DisableAllBuiltins(),
		expr.EnableBuiltin("abs"), expr.EnableBuiltin("min"), expr.EnableBuiltin("max"))
	if err == nil {
		root, check := program.Node(), plainWords{}
		ast.Walk(&root, &check)
		if check.refused != "" {
			return nil, &unit.Error{
				Message: fmt.Sprintf("%q uses %s, which is not allowed", cutText(text), check.refused), Hint: whenHint,
			}
		}
		return program, nil
	}
	message := err.Error()
	if e := new(file.Error); errors.As(err, &e) {
		message = fmt.Sprintf("%s at character %d", e.Message, e.Column+1)
	}
	if m := unknownName.FindStringSubmatch(message); m != nil {
		hint := "the names are " + strings.Join(numberNames(), ", ")
		if near := check.Nearest(m[1], numberNames()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return nil, &unit.Error{Message: fmt.Sprintf("unknown name %q in %q", m[1], cutText(text)), Hint: hint}
	}
	if m := wrongType.FindStringSubmatch(message); m != nil {
		kind := choose(m[1] == "string", "a text", "a number")
		return nil, &unit.Error{
			Message: fmt.Sprintf("%q is %s, not true or false", cutText(text), kind),
			Hint:    "compare it, as in " + cutText(text) + " > 0.05",
		}
	}
	line, _, _ := strings.Cut(message, "\n")
	if strings.HasPrefix(line, "unexpected token EOF") {
		line = "the expression ends where a value is expected"
	}
	return nil, &unit.Error{Message: fmt.Sprintf("%q: %s", cutText(text), line), Hint: whenHint}
}

const whenHint = "write comparisons joined by and, or, not, as in drop > 0.02 and changed > 100"

// plainWords looks for parts of an expression that could loop or that are neither number nor boolean (lists, ranges,
// closures, texts, declarations of variables). refused describes one of them; it is empty if there is none.
type plainWords struct{ refused string }

// Visit checks one node of the expression.
func (p *plainWords) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.IdentifierNode, *ast.UnaryNode, *ast.ConditionalNode:
	case *ast.BuiltinNode:
		if n.Name != "abs" && n.Name != "min" && n.Name != "max" {
			p.refused = "the function " + n.Name
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "+", "-", "*", "/", "%", "^", "**", "<", "<=", ">", ">=", "==", "!=", "and", "or", "&&", "||":
		default:
			p.refused = "the operator " + n.Operator
		}
	case *ast.StringNode:
		p.refused = "a text"
	default:
		p.refused = "more than numbers and comparisons"
	}
}
