package main

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/policy"
	"github.com/retraind/retraind/policy/quiethours"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch/sources"
)

// describe prints what a valid file sets up, so that a person can check that it is as intended.
func describe(p *page, l *configs.Loaded, offline bool, now time.Time) error {
	f := l.File
	p.line(l.Path+" is valid", 0)
	for _, name := range f.Names() {
		m := f.Models[name]
		p.line("", 0)
		p.line("  model "+bold(name), 4)
		p.field("labels", fmt.Sprintf("%s, %s held out", strings.Join(labelSources(m.Labels), " and "), heldOut(m.Heldout)))
		if blind := m.Labels.Blind(); len(blind) > 0 {
			p.field("", "table changes are detected "+m.Labels.Postgres.Title()+"; limitations:")
			for _, text := range blind {
				p.field("", "- "+text)
			}
		}
		p.field("serving", asked(m.Serving))
		p.field("retrains", cmp.Or(strings.Join(conditions(m.Policy.RetrainWhen), ", "), "only on request"))
		if urgent := conditions(m.Policy.UrgentWhen); len(urgent) > 0 {
			p.field("", "at any hour: urgent_when."+strings.Join(urgent, ", urgent_when."))
		}
		p.field("limits", limitsText(m.Policy.Limits))
		if t := m.Policy.Probation; t != nil {
			p.field("probation", fmt.Sprintf("%s after a promotion, with at most %s of false rollbacks", t.For,
				t.FalseRollbacks))
		}
		rules, err := f.Policy(name)
		if err != nil {
			return err
		}
		for i, text := range openings(rules.Windows(), now) {
			p.field([]string{"window", "", ""}[i], text)
		}
		var steps []string
		for _, s := range m.Steps(configs.DefaultPipeline) {
			steps = append(steps, s.Title())
		}
		p.field("run", strings.Join(steps, ", "))
		report, err := lastReport(f.State, name)
		if err != nil {
			p.field("evidence", "unknown: "+err.Error())
			continue
		}
		p.showPower(m.Policy, m.Promote, report)
	}
	p.line("", 0)
	p.field("state", f.State)
	p.field("page", f.Listen)
	p.field("nats", broker(f.NATS))
	p.field("times", "in "+f.Timezone)
	if offline {
		p.field("unchecked", "databases and classifiers (--offline)")
	} else {
		p.field("checked", "all databases and classifiers")
	}
	return p.print()
}

// heldOut describes which items are held out.
func heldOut(c drift.HeldoutConfig) string {
	if c.File != "" {
		return "the items of " + c.File
	}
	return c.Share.String() + " of the items"
}

// labelSources describes where labels come from.
func labelSources(c sources.Config) []string {
	var out []string
	if c.Postgres != nil {
		out = append(out, fmt.Sprintf("table %s in PostgreSQL", c.Postgres.Table))
	}
	if c.Files != nil {
		out = append(out, "label files in "+c.Files.Dir)
	}
	if c.NATS != nil {
		out = append(out, fmt.Sprintf("events on %s in NATS", c.NATS.Subject))
	}
	if c.HTTP != nil {
		out = append(out, "requests to "+c.HTTP.Listen)
	}
	return out
}

func broker(c notify.Config) string {
	switch {
	case !c.UsesEmbedded():
		var servers []string
		for _, url := range strings.Split(c.URL, ",") {
			servers = append(servers, text.URL(strings.TrimSpace(url)))
		}
		return "the server at " + strings.Join(servers, ", ")
	case c.Listen == notify.ListenNone:
		return "a server inside retraind, without a port"
	}
	return "a server inside retraind, at " + cmp.Or(c.Listen, notify.DefaultListen)
}

// conditions lists the keys of the conditions that are set.
func conditions(c policy.Conditions) []string {
	var keys []string
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			keys = append(keys, v.Type().Field(i).Tag.Get("yaml"))
		}
	}
	return keys
}

// openings returns the next three windows, which show the effect of rules that cross midnight and of clock changes.
func openings(w *quiethours.Windows, now time.Time) []string {
	if w.Always() {
		return []string{"always open: no quiet hours are set"}
	}
	now = now.In(w.Location())
	var out []string
	if open, ok := w.Current(now); ok {
		out = append(out, "open until "+clock(open.End, now))
	}
	for _, next := range w.Next(now, 3-len(out)) {
		out = append(out, fmt.Sprintf("%s for %s", next.Start.In(w.Location()).Format("Mon 2006-01-02 15:04 MST"),
			text.Elapsed(next.Length())))
	}
	if len(out) == 0 {
		return []string{"never opens"}
	}
	return out
}

// limitsText describes how often runs may start.
func limitsText(l policy.Limits) string {
	var parts []string
	if !l.Budget.IsZero() {
		parts = append(parts, "at most "+l.Budget.String())
	}
	if l.Cooldown > 0 {
		parts = append(parts, "at least "+l.Cooldown.String()+" apart")
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// asked describes the classifier.
func asked(c serving.Config) string {
	if o := c.Ollama; o != nil {
		return o.Model + " of the Ollama server at " + text.URL(o.URL)
	}
	return text.URL(c.Classify)
}
