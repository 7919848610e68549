package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/retraind/retraind/internal/doctest"
)

var (
	inlineCode = regexp.MustCompile("`(retraind [^`\n]+)`")
	// A comment shows a command after a colon or indented; "retraind init writes" is prose.
	commentedCommand = regexp.MustCompile(`(?m)^\s*# (?:.*: |  +)(retraind [a-z].*)$`)
)

// documented finds every command line of retraind in the documents, in shell blocks and in the text, and in the comments
// of the examples and recipes.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	found, total := map[string][]string{}, 0
	for _, path := range doctest.Pages(t, repository) {
		text := readRepository(t, path)
		for _, b := range doctest.Blocks(t, repository, path) {
			for _, line := range strings.Split(strings.ReplaceAll(b.Text, "\\\n", ""), "\n") {
				line, _, _ = strings.Cut(line, "|")
				line, _, _ = strings.Cut(line, " # ")
				if _, rest, ok := cutCommand(line); ok {
					found[path] = append(found[path], rest)
				}
			}
		}
		for _, m := range inlineCode.FindAllStringSubmatch(strings.ReplaceAll(text, "\n", " "), -1) {
			found[path] = append(found[path], m[1])
		}
		total += len(found[path])
	}
	if total < 30 {
		t.Fatalf("only %d command lines found", total)
	}
	for _, pattern := range []string{"configs/*.yaml", "configs/examples/*.yaml", "configs/recipes/*.yaml"} {
		paths, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%d files %s: %v", len(paths), pattern, err)
		}
		for _, path := range paths {
			text := readRepository(t, strings.TrimPrefix(path, repository+"/"))
			for _, m := range commentedCommand.FindAllStringSubmatch(text, -1) {
				found[path] = append(found[path], m[1])
			}
		}
	}
	return found
}

func readRepository(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commented adds the command lines in back quotes from the comments and messages of the other files.
func commented(t *testing.T, found map[string][]string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "*.go", "*.yaml", "*.sh", "systemd/files")
	list.Dir = repository
	out, err := list.Output()
	if err != nil {
		t.Log("not a git checkout: comments are not checked: ", err)
		return
	}
	total := 0
	for path := range strings.FieldsSeq(string(out)) {
		text, err := os.ReadFile(filepath.Join(list.Dir, path))
		if err != nil || strings.HasSuffix(path, "_test.go") || !bytes.Contains(text, []byte("`retraind ")) {
			continue
		}
		for _, m := range inlineCode.FindAllStringSubmatch(commentLine.ReplaceAllString(string(text), " "), -1) {
			if strings.ContainsAny(m[1], "%\"") { // completed by Sprintf or a concatenation
				continue
			}
			found[path] = append(found[path], m[1])
			total++
		}
	}
	if total < 20 {
		t.Errorf("only %d command lines found in comments", total)
	}
}

// commentLine is the break between two lines of a comment.
var commentLine = regexp.MustCompile(`\n\s*(//|#) ?`)

// cutCommand finds "retraind …" at the start of a line, or after sudo or sudo -u retraind.
func cutCommand(line string) (before, command string, ok bool) {
	line = strings.TrimSpace(line)
	for _, before := range []string{"sudo -u retraind ", "sudo ", ""} {
		if rest, cut := strings.CutPrefix(line, before); cut && strings.HasPrefix(rest, "retraind ") {
			return before, rest, true
		}
	}
	return "", "", false
}

// words splits a line like a shell, but keeps the quotes.
var words = regexp.MustCompile(`"[^"]*"|\S+`)

// Every command and every flag in documents, comments and messages exists.
func TestDocumentedCommandsExist(t *testing.T) {
	t.Parallel()
	root := newRoot(&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
	root.InitDefaultCompletionCmd("completion")
	root.InitDefaultHelpCmd()
	found := documented(t)
	commented(t, found)
	for path, lines := range found {
		for _, line := range lines {
			words := words.FindAllString(line, -1)
			cmd, rest, err := root.Find(words[1:])
			if err != nil || cmd == root {
				t.Errorf("%s: %q is not a command of retraind", path, line)
				continue
			}
			checkFlags(t, path, line, cmd, rest)
		}
	}
}

func checkFlags(t *testing.T, path, line string, cmd *cobra.Command, words []string) {
	t.Helper()
	_ = cmd.InheritedFlags() // merges the global flags in
	var args []string
	for i := 0; i < len(words); i++ {
		word := words[i]
		if word == "--" { // the rest is for another program
			args = append(args, words[i+1:]...)
			break
		}
		if !strings.HasPrefix(word, "-") {
			args = append(args, word)
			continue
		}
		name, _, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
		flag := cmd.Flags().Lookup(name)
		if flag == nil && len(name) == 1 {
			flag = cmd.Flags().ShorthandLookup(name)
		}
		if flag == nil {
			t.Errorf("%s: %q: %s has no flag %s", path, line, cmd.CommandPath(), word)
			continue
		}
		if !inline && flag.Value.Type() != "bool" {
			i++
		}
	}
	if len(words) == 0 {
		return // named in the text, without its arguments
	}
	if cmd.Args != nil {
		if err := cmd.Args(cmd, args); err != nil {
			t.Errorf("%s: %q: %v", path, line, err)
		}
	}
}
