package unit

import (
	"math"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// Size is a number of bytes, written with a unit: 20GiB, 500MB.
type Size int64

// Bytes returns the size as a plain number.
func (s Size) Bytes() int64 { return int64(s) }

// sizeUnits has the binary units first, so that the binary unit is used if two units print an equally short number.
var sizeUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
}

// UnmarshalText accepts a number with one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB.
func (s *Size) UnmarshalText(b []byte) error {
	const example = "write 20GiB or 500MB"
	text := string(b)
	num := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	name := strings.TrimSpace(text[len(num):])
	switch {
	case num == "":
		return bad(example, "%s is not a size", quote(text))
	case name == "" && strings.TrimSpace(text) == num && decimal.MatchString(num):
		return bad("write "+num+"GiB, "+num+"MiB or "+num+"B", "%s has no unit", quote(text))
	}
	unit := int64(0)
	for _, u := range sizeUnits {
		if u.name == name {
			unit = u.size
		}
	}
	if unit == 0 {
		return badSize(text, num, name)
	}
	if num+name != text {
		return bad("write "+strings.TrimSpace(num)+name, "%s has a space in it", quote(text))
	}
	v, err := number(text, num, "%s"+name, example)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseInt(num, 10, 64); err == nil && n <= math.MaxInt64/unit { // exact beyond 2^53
		*s = Size(n * unit)
		return nil
	}
	total := math.Round(v * float64(unit))
	if total >= math.MaxInt64 {
		return bad(example, "%s is too large", quote(text))
	}
	*s = Size(total)
	return nil
}

func badSize(text, num, name string) error {
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name, name) {
			return bad("write "+num+u.name, "%s has the unknown unit %s", quote(text), quote(name))
		}
		if strings.EqualFold(u.name[:1], name) && u.name != "B" {
			return bad("write "+num+u.name+" or "+num+strings.Replace(u.name, "i", "", 1), "%s has the unknown unit %s",
				quote(text), quote(name))
		}
	}
	return bad("the units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB, as in 20GiB", "%s has the unknown unit %s",
		quote(text), quote(name))
}

// String prints the size exactly, in the unit that gives the smallest whole number.
func (s Size) String() string {
	if s <= 0 {
		return strconv.FormatInt(int64(s), 10) + "B"
	}
	best, name := int64(s), "B"
	for _, u := range sizeUnits {
		if n := int64(s) / u.size; int64(s)%u.size == 0 && n < best {
			best, name = n, u.name
		}
	}
	return strconv.FormatInt(best, 10) + name
}

// MarshalText returns the text of String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// JSONSchema describes the text form.
func (Size) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:        "string",
		Pattern:     `^(0|[1-9][0-9]*)(\.[0-9]+)?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$`,
		Description: "A number of bytes with its unit: 20GiB, 500MB.",
		Examples:    []any{"20GiB", "500MB"},
	}
}
