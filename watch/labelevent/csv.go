package labelevent

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/retraind/retraind/watch"
)

// ErrRecord means that a record does not have the structure of its file (quotes, number of fields).
var ErrRecord = errors.New("not a record of this file")

// formError is an error in the structure of a record, with its own message.
type formError struct{ error }

func (formError) Is(target error) bool { return target == ErrRecord }

// Row decodes one line of a label file, or one record if the file is CSV; ok is false for an empty line and for a CSV
// header.
type Row func(line []byte, now time.Time) (e watch.Event, ok bool, err error)

// CSV returns the decoder for records with the given header, and the file's field separator. If the file cannot be
// read, it returns the reason as cause.
func (d *Decoder) CSV(header []byte) (decode Row, comma rune, cause string) {
	comma = separator(header, d.id)
	columns, err := record(header, comma)
	if err != nil {
		return nil, 0, "its first line is not a CSV header: " + err.Error()
	}
	own, cause := d.forColumns(columns)
	if cause != "" {
		return nil, 0, cause
	}
	first := true
	return func(line []byte, now time.Time) (watch.Event, bool, error) {
		if first && bytes.Equal(line, header) {
			first = false
			return watch.Event{}, false, nil
		}
		first = false
		if len(bytes.TrimSpace(line)) == 0 {
			return watch.Event{}, false, nil
		}
		fields, err := record(line, comma)
		if err == nil && len(fields) != len(columns) {
			err = formError{fmt.Errorf("the record has %d fields, the header has %d", len(fields), len(columns))}
		}
		if err != nil {
			return watch.Event{}, false, err
		}
		object := make(map[string]any, len(fields))
		for i, column := range columns {
			if fields[i] != "" || own.isText(column) {
				object[column] = fields[i]
			}
		}
		e, err := own.event(object, now)
		return e, true, err
	}, comma, ""
}

// separator returns the separator (comma, semicolon or tab) with which the header has a column for the id. If none
// does, it returns a comma.
func separator(header []byte, id string) rune {
	for _, comma := range []rune{',', ';', '\t'} {
		if columns, err := record(header, comma); err == nil && slices.Contains(columns, id) {
			return comma
		}
	}
	return ','
}

func record(raw []byte, comma rune) ([]string, error) {
	if len(raw) > MaxEvent {
		return nil, fmt.Errorf("%d bytes, at most %d are accepted", len(raw), MaxEvent)
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\xEF\xBB\xBF"))))
	r.Comma = comma
	fields, err := r.Read()
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return nil, formError{fmt.Errorf("not CSV: %w", bad.Err)}
	}
	if err != nil {
		return nil, err
	}
	for _, field := range fields {
		if strings.ToValidUTF8(field, "") != field {
			return nil, errors.New("it is not valid UTF-8 (convert it, for example with iconv)")
		}
	}
	return fields, nil
}

// forColumns returns the decoder for a header. If the model has several targets, each is read from the column with
// the target's name, unless the configuration names another column.
func (d *Decoder) forColumns(columns []string) (own *Decoder, cause string) {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = quoteShort(c)
	}
	has := func(name string) bool { return slices.Contains(columns, name) }
	if !has(d.id) {
		return nil, fmt.Sprintf("its header has no column %q, but %s (name the column of the id under labels.files.id)", d.id,
			strings.Join(list, ", "))
	}
	copied := *d
	own = &copied
	if own.labels == nil && d.onlyTarget == "" {
		own.labels = map[string]string{}
		for target := range d.targets {
			if has(target) {
				own.labels[target] = target
			}
		}
	}
	says := has(d.label) || d.text == nil && has("text")
	for _, paths := range []map[string]string{d.text, own.labels} {
		for _, column := range paths {
			says = says || has(column)
		}
	}
	if !says {
		return nil, fmt.Sprintf("its header has neither a text column nor a label column, but %s (name those columns under labels.files.text and labels.files.label)",
			strings.Join(list, ", "))
	}
	return own, ""
}

// isText reports whether a column contains a text. A text may be empty; an empty cell in any other column is ignored.
func (d *Decoder) isText(column string) bool {
	if d.text == nil {
		return column == "text"
	}
	for _, path := range d.text {
		if path == column {
			return true
		}
	}
	return false
}
