package classifier_test

import (
	"bufio"
	"crypto/md5"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/retraind/retraind/classifier"
	"github.com/retraind/retraind/internal/demo/news"
)

// dataSet is a set of labelled texts, divided into training and test texts. If the set is divided several times, the
// answers of all divisions are counted together.
type dataSet struct {
	name   string
	splits []split
}

type split struct{ train, test []classifier.Example }

// shared is a directory with labelled texts by other authors, whose licences do not allow a copy here. It may not
// exist.
const shared = "../../shared/data"

// dataSets returns a data set. If it does not exist, the test is skipped.
func dataSets(tb testing.TB, name string) dataSet {
	tb.Helper()
	set := dataSet{name: name}
	switch name {
	case "gnad10":
		set.splits = []split{{readShared(tb, "gnad10/train.jsonl"), readShared(tb, "gnad10/heldout.jsonl")}}
	case "debian":
		set.splits = []split{divide(readShared(tb, "debian_sections/bullseye_base.jsonl"), func(n int) bool { return n < 40 },
			func(n int) bool { return n >= 85 })}
	case "appstream":
		all := readShared(tb, "appstream/de_trixie.jsonl")
		for fold := range 5 {
			set.splits = append(set.splits,
				divide(all, func(n int) bool { return n%5 != fold }, func(n int) bool { return n%5 == fold }))
		}
	case "generated":
		set.splits = []split{divide(newsExamples(20_000), func(n int) bool { return n < 85 },
			func(n int) bool { return n >= 85 })}
	default:
		tb.Fatalf("no data set %q", name)
	}
	return set
}

// divide chooses the training and the test examples by md5(id) mod 100.
func divide(all []classifier.Example, train, test func(n int) bool) (s split) {
	for _, e := range all {
		n := 0
		for _, b := range md5.Sum([]byte(e.ID)) {
			n = (n<<8 | int(b)) % 100
		}
		if train(n) {
			s.train = append(s.train, e)
		}
		if test(n) {
			s.test = append(s.test, e)
		}
	}
	return s
}

func readShared(tb testing.TB, path string) (out []classifier.Example) {
	tb.Helper()
	f, err := os.Open(filepath.Join(shared, path))
	if err != nil {
		tb.Skipf("%s does not exist beside the checkout", filepath.Join("shared/data", path))
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var row struct{ ID, Title, Content, Label string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			tb.Fatal(err)
		}
		out = append(out, example(row.ID, row.Title, row.Content, row.Label))
	}
	return out
}

func newsExamples(n int) []classifier.Example {
	var out []classifier.Example
	for _, it := range news.Generate(1, n) {
		out = append(out, example(it.ID, it.Title, it.Content, it.Label))
	}
	return out
}

func example(id, title, content, label string) classifier.Example {
	return classifier.Example{
		ID: id, Text: map[string]string{"title": title, "content": content},
		Labels: map[string]string{"label": label},
	}
}
