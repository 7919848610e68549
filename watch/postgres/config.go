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

// DefaultTarget is the name of the only target if the configuration sets label instead of targets.
const DefaultTarget = "label"

// DefaultShrinkGuard is the share of the items that may be missing in a full read if the configuration sets none.
const DefaultShrinkGuard = unit.Percent(0.2)

// DefaultPoll is how often a source reads even if no notification has arrived, because a notification can be lost.
const DefaultPoll = 30 * time.Second

// Config is a watched table. Names of tables and columns are case-sensitive: SQL's folding to lower case is not
// applied. Double quotes are needed only around a name that contains a dot.
type Config struct {
	// DSN is the connection string; ${NAME} in it is replaced by an environment variable. Prefer dsn_file if it contains
	// a password.
	DSN string `yaml:"dsn" env:"expand"`
	// DSNFile is a file with the connection string; it is read at each connect.
	DSNFile string `yaml:"dsn_file"`
	// Table is the table with the labels, such as items or public.items.
	Table string `yaml:"table"`
	// ID is the column that identifies an item, or the list of columns of a composite key.
	ID unit.List `yaml:"id"`
	// Text lists the text columns that are sent to the classifier.
	Text unit.List `yaml:"text"`
	// Label is the column with the label, or an SQL expression over the row's columns.
	Label string `yaml:"label"`
	// Targets are the labels of a model with several targets, by target: each a column or an SQL expression. They replace
	// label.
	Targets map[string]string `yaml:"targets"`
	// LabelledWhen is an SQL condition over the row's columns that is true for labelled rows, such as "reviewed_at
	// is not null". Other rows are not used as examples, even if their label is set; labels from events count
	// for every row.
	LabelledWhen string `yaml:"labelled_when"`
	// Author is a column with the name of the row's last writer; default: the database user with capture: outbox, else
	// unknown.
	Author string `yaml:"author"`
	// UpdatedAt is a column with the time of the row's last write.
	UpdatedAt string `yaml:"updated_at"`
	// Capture is how changes are detected: outbox (by triggers, the default), logical (from the server's log) or poll (by
	// a column that grows with each write).
	Capture Capture `yaml:"capture"`
	// Outbox bounds what the triggers of capture: outbox store while retraind does not read. Beyond a bound the oldest
	// changes are deleted, and retraind then reads the whole table.
	Outbox Outbox `yaml:"outbox"`
	// ShrinkGuard is the largest share of the items that may be missing when the whole table is read. If more are
	// missing, nothing is deleted until the rows are there again or `retraind label accept` confirms the deletion.
	// Default 20%; 100% accepts any number.
	ShrinkGuard *unit.Percent `yaml:"shrink_guard"`
	// Notify lets the triggers of capture: outbox wake retraind by NOTIFY; default true. PostgreSQL forbids NOTIFY in a
	// transaction that is prepared for two-phase commit (PREPARE TRANSACTION): with false the triggers do not use it, and
	// retraind polls every second.
	Notify *bool `yaml:"notify"`
	// Poll is how often a source that waits for notifications reads without one, in case one was lost; default 30s. With
	// capture: poll it is the interval between two polls; default 5s.
	Poll unit.Duration `yaml:"poll"`
	// Watermark is the column that grows with each write, for capture: poll; default: updated_at.
	Watermark string `yaml:"watermark"`
	// Overlap is how long capture: poll keeps looking for rows that appear late, below the highest watermark that it has
	// read; default 1m.
	Overlap unit.Duration `yaml:"overlap"`
	// Normalized is a copy of labels.normalize: changing it changes the labels of unchanged rows.
	Normalized string `yaml:"-"`
	// Compare is how often capture: poll reads the whole table, to find changes that the watermark does not show, such as
	// deletions; default 1h.
	Compare unit.Duration `yaml:"compare"`
}

// Validate reports every error that can be found without asking the server; Check asks it.
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
		found.Errorf("poll", "write 30s", "%s is shorter than 10ms", c.Poll)
	}
	c.Outbox.validate(&found)
	c.validateCapture(&found)
	return found
}

// checkColumns reports a missing, repeated or invalid name.
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

// target is one label of an item: its name and its column or expression.
type target struct{ name, source string }

// targets returns the labels in a fixed order. If labelled_when is set, it adds the target serving.NotLabelled, which
// has a value only in rows that the condition excludes.
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

// WithTargets returns a copy that reads the given labels, each a column or an SQL expression.
func (c Config) WithTargets(sources map[string]string) *Config {
	c.Label, c.Targets = "", maps.Clone(sources)
	return &c
}

// poll returns the interval at which the source reads even without a notification.
func (c *Config) poll() time.Duration {
	switch {
	case c.Poll > 0:
		return c.Poll.D()
	case c.capture() == CapturePoll:
		return DefaultPollCapture
	}
	return DefaultPoll
}

// notifies reports whether the triggers use NOTIFY.
func (c *Config) notifies() bool { return c.Notify == nil || *c.Notify }

// shrinkGuard returns the share of the items that may be missing in a full read.
func (c *Config) shrinkGuard() float64 {
	if c.ShrinkGuard == nil {
		return DefaultShrinkGuard.F()
	}
	return c.ShrinkGuard.F()
}

// connString returns the connection string, from its file if one is configured.
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
