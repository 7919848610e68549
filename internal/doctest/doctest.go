// Package doctest finds the shell and SQL blocks of the documents, for the tests that run them.
//
// It defines the marks that say how a block is run: HTML comments in the lines above it, which a reader does not see.
// Its functions may be called from any goroutine. The package runs nothing, and is never linked into the program.
package doctest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Block is a fenced block of shell commands or SQL.
type Block struct {
	Page     string // path in the repository
	Line     int    // line of the page on which Text begins
	Language string // sh or sql
	Text     string

	NotRun      string // why no test runs it
	RunBy       string // package whose tests run it, if it is not cmd/retraind
	Needs       string // program without which the block is not run
	Name, Ready string // name of a block that keeps running, and the text that it prints when it is ready
}

// marks are the comments above a block, each with the fields that it sets.
var marks = []struct {
	find *regexp.Regexp
	set  func(b *Block, m []string)
}{
	{regexp.MustCompile(`^<!-- not run: (.+) -->$`), func(b *Block, m []string) { b.NotRun = m[1] }},
	{regexp.MustCompile(`^<!-- run by (\S+) -->$`), func(b *Block, m []string) { b.RunBy = m[1] }},
	{regexp.MustCompile(`^<!-- needs (\S+) -->$`), func(b *Block, m []string) { b.Needs = m[1] }},
	{
		regexp.MustCompile(`^<!-- in the background as (\w+), ready at (.+) -->$`),
		func(b *Block, m []string) { b.Name, b.Ready = m[1], m[2] },
	},
}

// Pages returns the paths of the documents, relative to the root of the repository.
func Pages(t testing.TB, root string) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages below %s/docs: %v", len(pages), root, err)
	}
	for i, page := range pages {
		pages[i] = "docs/" + filepath.Base(page)
	}
	return append(pages, "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
}

// Blocks returns the shell and SQL blocks of a page in their order.
func Blocks(t testing.TB, root, page string) []Block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return parse(page, string(text))
}

// command matches the first line of a block of commands that has no language.
var command = regexp.MustCompile(`^(\$|sudo|retraind|make|psql|curl|docker|systemctl) `)

func parse(page, text string) []Block {
	var blocks []Block
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		language, ok := strings.CutPrefix(strings.TrimSpace(lines[i]), "```")
		if !ok {
			continue
		}
		within := lines[i+1:]
		end := slices.IndexFunc(within, func(line string) bool { return strings.TrimSpace(line) == "```" })
		within = within[:max(0, end)]
		b := Block{Page: page, Line: i + 2, Language: language, Text: strings.Join(within, "\n") + "\n"}
		if language == "" && command.MatchString(b.Text) {
			b.Language = "sh"
		}
		if b.Language == "sh" || b.Language == "sql" {
			b.mark(lines[:i])
			blocks = append(blocks, b)
		}
		i += len(within) + 1
	}
	return blocks
}

// mark reads the comments directly above the block.
func (b *Block) mark(above []string) {
	for i := len(above) - 1; i >= 0; i-- {
		line := strings.TrimSpace(above[i])
		if !strings.HasPrefix(line, "<!--") {
			return
		}
		for _, mark := range marks {
			if m := mark.find.FindStringSubmatch(line); m != nil {
				mark.set(b, m)
			}
		}
	}
}
