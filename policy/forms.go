package policy

// The conditions that are a single value may be written as that value, or with keys where more is to be said.

// YAMLForm takes 85% for {share: 85%}.
func (a *AccuracyBelow) YAMLForm(form string) any {
	return formOf(form, &a.Share, (*accuracyBelowKeys)(a))
}

// YAMLForm takes an expression for {expression: …}.
func (w *When) YAMLForm(form string) any {
	return formOf(form, &w.Expression, (*whenKeys)(w))
}

// The types without the methods that would be asked again.
type (
	accuracyBelowKeys AccuracyBelow
	whenKeys          When
)

func formOf(form string, scalar, mapping any) any {
	switch form {
	case "scalar":
		return scalar
	case "mapping":
		return mapping
	}
	return nil
}
