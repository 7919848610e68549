package postgres

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
)

// DefaultTarget is the name of the only target where label is set and targets is not.
const DefaultTarget = "label"

// DefaultShrinkGuard is the share of the items that a full read may find gone where none is configured.
const DefaultShrinkGuard = unit.Percent(0.2)

// DefaultPoll is how often a waiting source reads without a notification, in case one was lost.
const DefaultPoll = 30 * time.Second

// Config is a watched table. Names of tables and columns are written as they are, without SQL's folding to lower
// case; double quotes are needed only around a name that contains a dot.
type Config struct {
	// DSN is the connection string, ${NAME} in it a variable of the environment; prefer dsn_file when it holds a password.
	DSN string `yaml:"dsn" env:"expand"`
	// DSNFile is a file with the connection string, read again at each connect.
	DSNFile string `yaml:"dsn_file"`
	// Table is the table with the labels, "items" or "public.items".
	Table string `yaml:"table"`
	// ID is the column that identifies an item, or the list of columns of a composite key.
	ID unit.List `yaml:"id"`
	// Text lists the columns that are sent to the classifier.
	Text unit.List `yaml:"text"`
	// Label is the column with the label, or an SQL expression over the row's columns.
	Label string `yaml:"label"`
	// Targets names several labels, each a column or an SQL expression; instead of label.
	Targets map[string]string `yaml:"targets"`
	// LabelledWhen is an SQL condition over the row's columns that says which rows are labelled, such as
	// "reviewed_at is not null". A row for which it is not true is an example of nothing, whatever its label and null say.
	LabelledWhen string `yaml:"labelled_when"`
	// Author is a column that says who wrote the row last; without it the database user is named.
	Author string `yaml:"author"`
	// UpdatedAt is a column that says when the row was last written.
	UpdatedAt string `yaml:"updated_at"`
	// Capture is how changes are found: outbox (triggers, the default), logical (the server's own log), poll (a column
	// that grows with each write).
	Capture Capture `yaml:"capture"`
	// Outbox bounds what the triggers of capture: outbox keep while nobody reads.
	Outbox Outbox `yaml:"outbox"`
	// ShrinkGuard is the share of the items that a read of the whole table may find gone; when more are, nothing is deleted
	// until the rows are back or `retraind label accept` says that they are gone. 20% when not set; 100% takes any.
	ShrinkGuard unit.Percent `yaml:"shrink_guard"`
	// Notify lets the triggers of capture: outbox wake retraind by NOTIFY, which PostgreSQL forbids in a transaction that is
	// to be prepared (PREPARE TRANSACTION). false looks for changes every second instead; true when not set.
	Notify *bool `yaml:"notify"`
	// Poll is how often a waiting source reads without a notification, in case one was lost; 30s when not set, 5s with capture: poll.
	Poll unit.Duration `yaml:"poll"`
	// Watermark is the column that grows with each write, for capture: poll; updated_at when not set.
	Watermark string `yaml:"watermark"`
	// Overlap is how long capture: poll goes on looking for rows that appear behind the watermark; 1m when not set.
	Overlap unit.Duration `yaml:"overlap"`
	// Normalized is labels.normalize: another one makes other labels of the same rows.
	Normalized string `yaml:"-"`
	// Compare is how often capture: poll reads the whole table, to find what the watermark cannot show; 1h when not set.
	Compare unit.Duration `yaml:"compare"`
}

// Validate reports every fault that shows without asking the server; Check asks it.
func (c *Config) Validate() check.Problems {
	var found check.Problems
	switch {
	case c.DSN == "" && c.DSNFile == "":
		found.Errorf("dsn_file", `name a file that holds "postgres://user:password@host/database"`, "no connection string")
	case c.DSN != "" && c.DSNFile != "":
		found.Errorf("dsn", "keep one of the two", "both dsn and dsn_file are set")
	case c.DSN != "":
		if _, err := pgx.ParseConfig(c.DSN); err != nil {
			found.Errorf("dsn", `write "postgres://user:password@host/database" or "host=… dbname=…"`,
				"not a connection string: %s", watch.OneLine(err))
		}
	}
	if c.Table == "" {
		found.Errorf("table", "name the table with the labels", "no table")
	} else if _, err := parseTable(c.Table); err != nil {
		found.Errorf("table", `write table or schema.table`, "%s", err)
	}
	checkColumns(&found, "id", c.ID, "name the key column, or the list of a composite key's columns")
	checkColumns(&found, "text", c.Text, "list the columns that are sent to the classifier")
	switch {
	case c.Label == "" && len(c.Targets) == 0:
		found.Errorf("label", "name the label's column", "no label")
	case c.Label != "" && len(c.Targets) > 0:
		found.Errorf("label", "keep one of the two", "both label and targets are set")
	}
	if err := checkExpression(c.LabelledWhen); c.LabelledWhen != "" && err != nil {
		found.Errorf("labelled_when", "write an SQL condition", "%q: %s", c.LabelledWhen, err)
	}
	for _, target := range c.labels() {
		path := "label"
		if c.Label == "" {
			path = "targets." + target.name
		}
		if err := checkExpression(target.source); err != nil {
			found.Errorf(path, "write a column or an SQL expression", "%q: %s", target.source, err)
		}
	}
	if err := checkName(c.Author); c.Author != "" && err != nil {
		found.Errorf("author", "name a column", "%s", err)
	}
	if err := checkName(c.UpdatedAt); c.UpdatedAt != "" && err != nil {
		found.Errorf("updated_at", "name a column", "%s", err)
	}
	if c.Poll < 0 || c.Poll > 0 && c.Poll.D() < 10*time.Millisecond {
		found.Errorf("poll", "write 30s", "%s is too short", c.Poll)
	}
	c.Outbox.validate(&found)
	c.validateCapture(&found)
	return found
}

// checkColumns reports a missing, doubled or impossible name.
func checkColumns(found *check.Problems, path string, names unit.List, hint string) {
	if len(names) == 0 {
		found.Errorf(path, hint, "no column")
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := checkName(name); err != nil {
			found.Errorf(at, hint, "%s", err)
		}
		if slices.Contains(names[:i], name) {
			found.Errorf(at, "remove one", "column %q is named twice", name)
		}
	}
}

// target is one label of an item: its name and the column or expression it comes from.
type target struct{ name, source string }

// targets returns the labels in a fixed order. Rows that labelled_when excludes carry the mark serving.NotLabelled.
func (c *Config) targets() []target {
	list := c.labels()
	if c.LabelledWhen != "" {
		list = append(list, target{serving.NotLabelled, "case when (" + c.LabelledWhen + ") then null::text else '' end"})
	}
	return list
}

func (c *Config) labels() []target {
	if c.Label != "" {
		return []target{{DefaultTarget, c.Label}}
	}
	list := make([]target, 0, len(c.Targets))
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		list = append(list, target{name, c.Targets[name]})
	}
	return list
}

// WithTargets returns a copy that reads the named labels, each a column or an SQL expression, instead of its own.
func (c Config) WithTargets(sources map[string]string) *Config {
	c.Label, c.Targets = "", maps.Clone(sources)
	return &c
}

// poll returns the interval of the safety net.
func (c *Config) poll() time.Duration {
	switch {
	case c.Poll > 0:
		return c.Poll.D()
	case c.capture() == CapturePoll:
		return DefaultPollCapture
	}
	return DefaultPoll
}

// notifies tells whether the triggers wake the reader.
func (c *Config) notifies() bool { return c.Notify == nil || *c.Notify }

// shrinkGuard returns the share of the items that a full read may find gone.
func (c *Config) shrinkGuard() float64 {
	if c.ShrinkGuard == 0 {
		return DefaultShrinkGuard.F()
	}
	return c.ShrinkGuard.F()
}

// connString returns the connection string, from its file where one is named.
func (c *Config) connString() (string, error) {
	if c.DSNFile == "" {
		return c.DSN, nil
	}
	text, err := os.ReadFile(c.DSNFile)
	if err != nil {
		return "", fmt.Errorf("read the connection string: %w", err)
	}
	dsn := strings.TrimSpace(string(text))
	if dsn == "" {
		return "", &watch.Fault{
			Key: "dsn_file", Cause: fmt.Sprintf("dsn_file %s is empty", c.DSNFile),
			Cure: "write the connection string into it", Permanent: true,
		}
	}
	return dsn, nil
}
