package strictyaml

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/retraind/retraind/internal/unit"
)

var (
	wholeNumber = regexp.MustCompile(`^[+-]?(0|[1-9][0-9]*)$`)
	thousands   = regexp.MustCompile(`^[+-]?[1-9][0-9]*e\+?[0-9]{1,2}$`) // 1e3 as a count
	realNumber  = regexp.MustCompile(`^[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	zeroLed     = regexp.MustCompile(`^([+-]?)0+([0-9]+(\.[0-9]+)?)$`)
)

func quoted(n *yaml.Node) bool {
	return n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

func hasForbidden(s string) bool { return strings.IndexFunc(s, forbidden) >= 0 }

// text passes a scalar to a type that parses its own text, and splits its error into message and hint.
func (d *decoder) text(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "a single value", "")
		return
	}
	if k := into.Kind(); (k == reflect.Float64 || k == reflect.Float32) && quoted(n) && realNumber.MatchString(n.Value) {
		d.wrong(n, path, "a number", "write "+n.Value+" without quotes")
		return
	}
	if hasForbidden(n.Value) {
		d.fail(n, path, "remove it", "%s: a control character in %q", last(path), cutValue(n.Value))
		return
	}
	err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value))
	if err == nil {
		return
	}
	message, hint := err.Error(), ""
	if e := new(unit.Error); errors.As(err, &e) {
		message, hint = e.Message, e.Hint
	}
	d.fail(n, path, hint, "%s: %s", last(path), message)
}

func (d *decoder) scalar(n *yaml.Node, path string, into reflect.Value) {
	switch into.Kind() {
	case reflect.String:
		d.str(n, path, into)
	case reflect.Bool:
		d.boolean(n, path, into)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if v, ok := d.whole(n, path); ok {
			if into.OverflowInt(v) {
				d.fail(n, path, "", "%s: %s is too large", last(path), n.Value)
				return
			}
			into.SetInt(v)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v, ok := d.whole(n, path); ok {
			switch {
			case v < 0:
				d.fail(n, path, "write 0 or more", "%s: %s is negative", last(path), n.Value)
			case into.OverflowUint(uint64(v)):
				d.fail(n, path, "", "%s: %s is too large", last(path), n.Value)
			default:
				into.SetUint(uint64(v))
			}
		}
	case reflect.Float32, reflect.Float64:
		if v, ok := d.float(n, path); ok {
			into.SetFloat(v)
		}
	default:
		panic("strictyaml: " + path + ": cannot decode into " + into.Type().String())
	}
}

func (d *decoder) str(n *yaml.Node, path string, into reflect.Value) {
	tag := n.ShortTag()
	switch {
	case n.Kind != yaml.ScalarNode:
		d.wrong(n, path, "a text", "")
	case tag != "!!str" && tag != "!!timestamp":
		d.wrong(n, path, "a text", "write "+strconv.Quote(n.Value)+" in quotes")
	case hasForbidden(n.Value):
		d.fail(n, path, "remove it", "%s: a control character in %q", last(path), cutValue(n.Value))
	default:
		if text, ok := d.expand(n, path); ok {
			into.SetString(text)
		}
	}
}

// boolean also accepts the words of YAML 1.1, which many people still write: yes, no, on, off.
func (d *decoder) boolean(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind == yaml.ScalarNode && !quoted(n) {
		switch strings.ToLower(n.Value) {
		case "true", "yes", "on":
			into.SetBool(true)
			return
		case "false", "no", "off":
			into.SetBool(false)
			return
		}
	}
	d.wrong(n, path, "true or false", "write true or false without quotes")
}

func (d *decoder) whole(n *yaml.Node, path string) (int64, bool) {
	const expected = "a whole number"
	v := n.Value
	switch {
	case n.Kind != yaml.ScalarNode:
		d.wrong(n, path, expected, "")
	case quoted(n) && wholeNumber.MatchString(v):
		d.wrong(n, path, expected, "write "+v+" without quotes")
	case quoted(n):
		d.wrong(n, path, expected, "")
	case wholeNumber.MatchString(v):
		i, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			d.fail(n, path, "", "%s: %s is too large", last(path), cutValue(v))
			return 0, false
		}
		return i, true
	case thousands.MatchString(v):
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.Abs(f) >= 1<<53 {
			d.fail(n, path, "", "%s: %s is too large", last(path), cutValue(v))
			return 0, false
		}
		return int64(f), true
	case zeroLed.MatchString(v):
		d.wrong(n, path, expected+" without leading zeros",
			"write "+zeroLed.ReplaceAllString(v, "$1$2")+"; YAML reads "+v+" as octal")
	case realNumber.MatchString(v):
		d.wrong(n, path, expected, "")
	case strings.Contains(v, "_") && wholeNumber.MatchString(strings.ReplaceAll(v, "_", "")):
		d.wrong(n, path, expected, "write "+strings.ReplaceAll(v, "_", ""))
	default:
		d.wrong(n, path, expected, "write digits, as in 50")
	}
	return 0, false
}

func (d *decoder) float(n *yaml.Node, path string) (float64, bool) {
	const expected = "a number"
	v := n.Value
	switch {
	case n.Kind != yaml.ScalarNode:
		d.wrong(n, path, expected, "")
	case quoted(n) && realNumber.MatchString(v):
		d.wrong(n, path, expected, "write "+v+" without quotes")
	case quoted(n):
		d.wrong(n, path, expected, "")
	case realNumber.MatchString(v):
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsInf(f, 0) {
			d.fail(n, path, "", "%s: %s is too large", last(path), cutValue(v))
			return 0, false
		}
		return f + 0, true
	case zeroLed.MatchString(v):
		d.wrong(n, path, expected+" without leading zeros", "write "+zeroLed.ReplaceAllString(v, "$1$2"))
	case n.ShortTag() == "!!float" && strings.ContainsAny(strings.ToLower(v), "in"):
		d.wrong(n, path, "a finite number", "")
	case strings.Count(v, ",") == 1 && realNumber.MatchString(strings.Replace(v, ",", ".", 1)):
		d.wrong(n, path, expected, "write "+strings.Replace(v, ",", ".", 1))
	default:
		d.wrong(n, path, expected, "write digits, as in 0.5")
	}
	return 0, false
}
