package retraind_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// riddles are phrases of a former private dialect. Each one has a plain word: a safety rule refuses, an event reports, an
// item is unknown, a run resumes, a fault is permanent.
var riddles = regexp.MustCompile(`(?i)\b(stands? against|tells? of|told of|what (only a person|nobody asks)|` +
	`away without leave|walls the daemon|as the faces|the faces show|doorbell|c(ame|omes?) to (nothing|something else)|` +
	`nobody has brought|goes on where|ids that end so|has a say|have got another key|at whose door|` +
	`without (a|another) word|goes (blind|hungry)|every face|under its eyes|hung up on|stays given|set anew|` +
	`nobody (can|could) say|brought to its end|whoever wonders|what came of it|(begins?|made|written|measured) anew|` +
	`flattered|for the eye|gives? itself away|go by the rules|had mended|how it is asked|not played|` +
	`stand anywhere|tells that|took back|under watch|without further words|worth a word|commonest|next look|` +
	`sets? aside|goes on|is away|takes? back|brought back|bring back|(kept|put) aside|well again|stands? in the way|` +
	`entered again|gets its turn|taken for kept|in peace|done anew|gone for good|the very (model|artifact|base))\b`)

// All texts for people are in plain engineering English.
func TestWordsArePlain(t *testing.T) {
	t.Parallel()
	if testing.Short() { // with the race detector it takes minutes; scripts/test.sh also runs it without
		t.Skip("runs without -short")
	}
	out, err := exec.Command("git", "ls-files").Output()
	if err != nil {
		t.Skip("not a git checkout: ", err)
	}
	read := 0
	for path := range strings.FieldsSeq(string(out)) {
		switch {
		case path == "words_test.go", strings.HasSuffix(path, ".sum"), strings.HasSuffix(path, ".png"):
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue // deleted, or a link
		}
		read++
		for n, line := range strings.Split(string(text), "\n") {
			if phrase := riddles.FindString(line); phrase != "" {
				t.Errorf("%s:%d: %q: say it in plain words", path, n+1, phrase)
			}
		}
	}
	if read < 500 {
		t.Errorf("only %d files read: this test does not see the tree", read)
	}
}
