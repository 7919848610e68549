// Package sources defines the labels section of a model's configuration, which combines the sections of the single
// sources.
//
// The package of each source defines its Config with Validate; this package only assembles them, so that the contract
// in package watch imports no source. It contains only values, which are safe for concurrent use as long as they are
// not changed. It never starts a source: the daemon does.
package sources

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
	"github.com/retraind/retraind/watch/labelfiles"
	"github.com/retraind/retraind/watch/natssource"
	"github.com/retraind/retraind/watch/postgres"
	"github.com/retraind/retraind/watch/webhook"
)

// Config is the labels section of a model: the sources of its label changes. Several sources can be combined.
type Config struct {
	// Postgres is the table in which people correct labels.
	Postgres *postgres.Config `yaml:"postgres"`
	// Files is a directory of label files in JSON Lines or CSV.
	Files *labelfiles.Config `yaml:"files"`
	// NATS is a JetStream stream of label events.
	NATS *natssource.Config `yaml:"nats"`
	// HTTP is an address that receives label events by POST, such as the webhooks of annotation tools.
	HTTP *webhook.Config `yaml:"http"`
	// Normalize lists differences in spelling to ignore when labels and answers are compared and exported: blanks
	// (surrounding white space is removed), case (labels become lower case), unicode (labels become NFC). Default: none.
	Normalize unit.List `yaml:"normalize"`
}

// mappings returns the mappings of the event sources.
func (c *Config) mappings() []*labelevent.Mapping {
	var out []*labelevent.Mapping
	if c.Files != nil {
		out = append(out, &c.Files.Mapping)
	}
	if c.NATS != nil {
		out = append(out, &c.NATS.Mapping)
	}
	if c.HTTP != nil {
		out = append(out, &c.HTTP.Mapping)
	}
	return out
}

// Decoder returns the decoder of an event source with this mapping. The parameters are those of labelevent.NewDecoder.
func (c *Config) Decoder(m labelevent.Mapping, targets []serving.Target, need []string) *labelevent.Decoder {
	d := labelevent.NewDecoder(m, targets, need)
	if c.Postgres != nil {
		d = d.ForKey(len(c.Postgres.ID))
	}
	return d
}

// Blind returns the limitations of the table's capture (see postgres.Capture.Blind).
func (c *Config) Blind() []string {
	if c.Postgres == nil {
		return nil
	}
	return c.Postgres.Blind()
}

// TextFields lists the fields of an item's text: those of the table, else those that the first event source with such
// a setting names, else "text".
func (c *Config) TextFields() []string {
	if c.Postgres != nil {
		return c.Postgres.Text
	}
	for _, mapping := range c.mappings() {
		if fields := mapping.Text.Fields(); fields != nil {
			return slices.Sorted(maps.Keys(fields))
		}
	}
	return []string{"text"}
}

// Names lists the configured sources.
func (c *Config) Names() []string {
	var names []string
	if c.Postgres != nil {
		names = append(names, watch.SourcePostgres)
	}
	if c.Files != nil {
		names = append(names, watch.SourceFiles)
	}
	if c.NATS != nil {
		names = append(names, watch.SourceNATS)
	}
	if c.HTTP != nil {
		names = append(names, watch.SourceHTTP)
	}
	return names
}

// Validate reports every error of the section.
func (c *Config) Validate() check.Problems {
	var found check.Problems
	if len(c.Names()) == 0 {
		found.Errorf("", "add postgres: {dsn_file: …, table: …, id: …, text: […], label: …}, or another source: files, nats, http",
			"no source of labels")
	}
	for i, rule := range c.Normalize {
		if !slices.Contains(serving.Rules, rule) {
			found.Errorf(check.Index("normalize", i), "write some of "+strings.Join(serving.Rules, ", "), "there is no rule %q",
				rule)
		}
	}
	if c.Postgres != nil {
		found.Under("postgres", c.Postgres.Validate())
	}
	if c.Files != nil {
		found.Under("files", c.Files.Validate())
	}
	if c.NATS != nil {
		found.Under("nats", c.NATS.Validate())
	}
	if c.HTTP != nil {
		found.Under("http", c.HTTP.Validate())
	}
	return found
}

// Check checks whether the table, the directory of label files and the webhook's secret can be read; natssource.Check
// checks the stream. The paths of its findings are keys of the labels section.
func Check(ctx context.Context, model string, c *Config) check.Problems {
	var found check.Problems
	if c.Postgres != nil {
		of := postgres.Check(ctx, model, c.Postgres)
		if !of.HasErrors() {
			findLookAlikes(&of, postgres.CountLabels(ctx, model, c.Postgres), serving.NormalizeBy(c.Normalize))
		}
		found.Under("postgres", of)
	}
	if c.Files != nil {
		found.Under("files", watch.ProblemOf(c.Files.Probe()))
	}
	if c.HTTP != nil {
		found.Under("http", watch.ProblemOf(c.HTTP.Probe()))
	}
	return found
}
