package postgres

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/retraind/retraind/serving"
)

// learnPadding finds the labels of type char(n), or arrays of it. The server pads such values with blanks, which
// are not part of the label and are removed.
func (s *schema) learnPadding(ctx context.Context, conn *pgx.Conn) error {
	sources := make([]string, len(s.targets))
	for i, t := range s.targets {
		if sources[i] = ident(t.source); !columnName.MatchString(t.source) {
			sources[i] = "(" + t.source + ")"
		}
	}
	plan, err := conn.Prepare(ctx, "", "SELECT "+strings.Join(sources, ", ")+" FROM "+s.table)
	if err != nil {
		return err
	}
	s.padded = map[string]bool{}
	for i, field := range plan.Fields {
		if i < len(s.targets) && (field.DataTypeOID == pgtype.BPCharOID || field.DataTypeOID == pgtype.BPCharArrayOID) {
			s.padded[s.targets[i].name] = field.DataTypeOID == pgtype.BPCharArrayOID
		}
	}
	return nil
}

// canonical turns a JSON value into a label of a target. For a null it returns present = false.
func (s *schema) canonical(target string, raw []byte) (label string, present bool, err error) {
	label, present, err = canonical(raw)
	isArray, padded := s.padded[target]
	switch {
	case err != nil || !present || !padded:
		return label, present, err
	case !isArray:
		return strings.TrimRight(label, " "), true, nil
	}
	var members []string
	if err := json.Unmarshal([]byte(label), &members); err != nil {
		return "", false, err
	}
	for i := range members {
		members[i] = strings.TrimRight(members[i], " ")
	}
	return serving.CanonicalSet(members), true, nil
}
