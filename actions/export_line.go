package actions

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/retraind/retraind/drift"
)

// appendExample appends a row as one line, byte by byte what encoding/json makes of its Example, at a fraction of the
// cost: an export writes a million of them.
func appendExample(line []byte, targets []drift.Target, row Row, hash string) ([]byte, error) {
	line = appendText(append(line, `{"id":`...), row.ID)
	line = appendText(append(line, `,"text_hash":`...), hash)
	line = append(line, `,"text":{`...)
	var room [8]string
	columns := room[:0]
	for column := range row.Text {
		columns = append(columns, column)
	}
	slices.Sort(columns)
	for i, column := range columns {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendText(append(appendText(line, column), ':'), row.Text[column])
	}
	line = append(line, `},"labels":{`...)
	names := room[:0]
	for _, t := range targets {
		if _, ok := row.Labels[t.Name]; ok {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(appendText(line, name), ':')
		t := targets[slices.IndexFunc(targets, func(t drift.Target) bool { return t.Name == name })]
		value := t.JSON(row.Labels[name])
		if text, ok := value.(string); ok {
			line = appendText(line, text)
			continue
		}
		var err error
		if line, err = appendValue(line, value); err != nil {
			return nil, err
		}
	}
	return append(line, "}}\n"...), nil
}

func appendValue(line []byte, value any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return line, err
	}
	return append(line, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), nil
}
