//go:build !race

package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/pgtest"
	"github.com/retraind/retraind/watch/postgres"
)

const model = "news"

// ending is the expected outcome of a scenario's second run.
type ending string

const (
	promoted   ending = "promoted"
	rejected   ending = "rejected"
	rolledBack ending = "rolled_back"
	// takenBack means that the second run is promoted but fails its probation, and a third run rolls it back.
	takenBack ending = "taken_back"
)

// The table has four topics. Items of the fourth topic have the label of the third at first.
const (
	perTopic = 60
	topics   = 4
	items    = perTopic * topics
)

var words = [topics][]string{
	strings.Fields("ball tor elf meter strafraum abseits trainer stadion pokal liga spieler anpfiff"),
	strings.Fields("zins bank aktie kurs börse dividende anleihe inflation rendite depot fonds bilanz"),
	strings.Fields("regen sturm wolke gewitter hagel schnee frost hitze nebel wind orkan flut"),
	strings.Fields("serie kino leinwand regie schauspiel drehbuch premiere filmpreis szene kamera rolle studio"),
}

var label = [topics]string{"sport", "geld", "wetter", "film"}

// text returns the text of an item of a topic. It is the same in every scenario, so that one template database serves
// all.
func text(topic, n int) (title, content string) {
	rng := rand.New(rand.NewPCG(uint64(topic), uint64(n)))
	pick := func() string { return words[topic][rng.IntN(len(words[topic]))] }
	title = fmt.Sprintf("%s %s nummer%d", pick(), pick(), topic*1000+n)
	for range 10 {
		content += pick() + " "
	}
	return title, content + "und so weiter"
}

// tableSQL creates and fills the table.
func tableSQL() string {
	var b strings.Builder
	b.WriteString("create table items (id text primary key, title text not null, content text not null, category text, updated_by text not null default 'import');\n")
	for topic := range topics {
		for n := range perTopic {
			title, content := text(topic, n)
			fmt.Fprintf(&b, "insert into items values ('%d-%d', '%s', '%s', '%s');\n", topic, n, title, content,
				label[min(topic, 2)])
		}
	}
	return b.String()
}

// edits are transactions of ordinary SQL, and the number of label changes that they make.
type edits struct {
	transactions [][]string
	changes      int
	first        int // label changes in the first transaction
}

const newItems = 8

// split corrects the labels of the fourth topic, ten in each transaction, and also inserts, deletes and edits items.
func split() edits {
	var e edits
	for from := 0; from < perTopic; from += 10 {
		var tx []string
		for n := from; n < from+10; n++ {
			tx = append(tx, fmt.Sprintf("update items set category = '%s', updated_by = 'anna' where id = '3-%d'", label[3], n))
		}
		e.transactions = append(e.transactions, tx)
	}
	var fresh []string // so many that some are held out and the service is queried
	for n := perTopic; n < perTopic+newItems; n++ {
		title, content := text(3, n)
		fresh = append(fresh, fmt.Sprintf("insert into items values ('3-%d', '%s', '%s', '%s', 'anna')", n, title, content,
			label[3]))
	}
	e.transactions = append(e.transactions, fresh,
		[]string{
			"delete from items where id = '0-0'",
			"update items set content = content || ' noch ein wort' where id = '1-0'",
		},
		[]string{"update items set category = category where id = '1-1'"}, // changes nothing
	)
	e.changes, e.first = perTopic+newItems+2, 10
	return e
}

// poison gives two of five items the label of another topic.
func poison() edits {
	var e edits
	for topic := range topics {
		var tx []string
		for n := range perTopic {
			if n%5 < 2 {
				tx = append(tx, fmt.Sprintf("update items set category = '%s', updated_by = 'bert' where id = '%d-%d'",
					label[(min(topic, 2)+1)%3], topic, n))
				e.changes++
			}
		}
		e.transactions = append(e.transactions, tx)
	}
	e.first = len(e.transactions[0])
	return e
}

// worse adds items with labels that contradict the second release, so many that some are held out.
func worse() edits {
	var e edits
	for topic := range topics {
		var tx []string
		for n := 2 * perTopic; n < 2*perTopic+10; n++ {
			title, content := text(topic, n)
			tx = append(tx, fmt.Sprintf("insert into items values ('%d-%d', '%s', '%s', '%s', 'carl')", topic, n, title, content,
				label[(topic+1)%topics]))
			e.changes++
		}
		e.transactions = append(e.transactions, tx)
	}
	return e
}

// place is the environment of a scenario.
type place struct {
	dir, dsn string
	program  string
	classify string // host:port of the classifier
	broker   string // host:port of the daemon's NATS
	salt     string
	helper   string // the test binary, as the training command
	trial    bool   // releases are on probation
	stale    bool   // the service does not load the second release
}

func (p place) config() string { return filepath.Join(p.dir, "retraind.yaml") }
func (p place) state() string  { return filepath.Join(p.dir, "state") }

// configuration returns the text of the configuration file. If open is set there are no quiet-hours windows, so that a
// run may start at any time; otherwise the window begins in twelve hours.
func (p place) configuration(open bool) string {
	hours := ""
	if !open {
		far := time.Now().UTC().Add(12 * time.Hour)
		hours = fmt.Sprintf("\n    quiet_hours: [{from: %q, to: %q}]", far.Format("15:04"),
			far.Add(time.Hour).Format("15:04"))
	}
	if p.trial {
		hours += "\n    probation: 1h"
	}
	proof := "30s" // more than a proof takes on a loaded machine
	if p.stale && open {
		proof = "600ms" // the second release is never proved
	}
	return fmt.Sprintf(`version: 1
state: %q
listen: off
nats: {embedded: true, listen: %q}
models:
  %s:
    labels:
      postgres: {dsn: %q, table: items, id: id, text: [title, content], label: category, author: updated_by}
    heldout: {share: 25%%, salt_file: %q}
    serving: {classify: "http://%s/classify", health: "http://%s/health"}
    evaluate: {every: 1m, after_changes: 0, debounce: 20ms, max_wait: 50ms, min_items: 20}
    retrain_when: {label_changes: {at_least: 60}}
    limits: {cooldown: 0s, budget: 2 per 1d, breaker: 3, suspicious_labels: ignore}%s
    pipeline:
      default:
        - {do: export}
        - {name: train, exec: [%q, train], kind: pure, env: {STORY: %q, PROGRAM: %q}}
        - {do: gate}
        - {do: release}
        - {do: verify}
    promote: {gate: not_worse, margin: 1, verify_within: %s, undo_within: 30s}
`, p.state(), p.broker, model, p.dsn, p.salt, p.classify, p.classify, hours, p.helper, p.dir, p.program, proof)
}

// write replaces the configuration file, as an editor would.
func (p place) write(open bool) error {
	tmp := p.config() + ".new"
	if err := os.WriteFile(tmp, []byte(p.configuration(open)), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, p.config())
}

// database creates a database for the scenario, with the table and the SQL of `retraind init sql`.
func database(t *testing.T) string {
	t.Helper()
	p := place{
		dir: "/nowhere", salt: "salt", dsn: "host=/nowhere", classify: "127.0.0.1:1", broker: "127.0.0.1:1",
		helper: "x", program: "x",
	}
	l, err := configs.Parse("retraind.yaml", []byte(p.configuration(true)))
	if err != nil {
		t.Fatal(err)
	}
	sql, err := postgres.Migration(model, l.File.Models[model].Labels.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	return pgtest.Database(t, tableSQL(), sql)
}
