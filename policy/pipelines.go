package policy

import "strings"

// Pipelines returns the pipelines that conditions name, keyed by the condition's configuration path, such as
// retrain_when.max_age.
func (c Config) Pipelines() map[string]string {
	out := map[string]string{}
	c.RetrainWhen.pipelines("retrain_when", out)
	c.UrgentWhen.pipelines("urgent_when", out)
	return out
}

func (c *Conditions) pipelines(under string, out map[string]string) {
	add := func(name, pipeline string) {
		if pipeline != "" {
			out[under+"."+name] = pipeline
		}
	}
	if c.AccuracyBelow != nil {
		add("accuracy_below", c.AccuracyBelow.Pipeline)
	}
	if c.AccuracyDrop != nil {
		add("accuracy_drop", c.AccuracyDrop.Pipeline)
	}
	if c.MacroF1Drop != nil {
		add("macro_f1_drop", c.MacroF1Drop.Pipeline)
	}
	if c.CategoryRecallBelow != nil {
		add("category_recall_below", c.CategoryRecallBelow.Pipeline)
	}
	if c.CategoryRecallDrop != nil {
		add("category_recall_drop", c.CategoryRecallDrop.Pipeline)
	}
	if c.LabelChanges != nil {
		add("label_changes", c.LabelChanges.Pipeline)
	}
	if c.NewCategory != nil {
		add("new_category", c.NewCategory.Pipeline)
	}
	if c.LabelShift != nil {
		add("label_shift", c.LabelShift.Pipeline)
	}
	if c.FormatErrorsAbove != nil {
		add("format_errors_above", c.FormatErrorsAbove.Pipeline)
	}
	if c.MaxAge != nil {
		add("max_age", c.MaxAge.Pipeline)
	}
	if c.When != nil {
		add("when", c.When.Pipeline)
	}
}

// pipeline returns the pipeline of the first tripped condition that names one; "" if none does.
func (p *Policy) pipeline(d *Decision) string {
	for i := range d.Conditions {
		c := &d.Conditions[i]
		if !c.Tripped {
			continue
		}
		for where, pipeline := range p.pipelines {
			if c.Config == where || strings.HasPrefix(c.Config, where+".") {
				return pipeline
			}
		}
	}
	return ""
}
