package doctest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "# Page\n" +
	"```sh\none\ntwo\n```\n" +
	"```yaml\nsh: 1\n```\n" +
	"<!-- needs curl -->\n<!-- in the background as daemon, ready at msg=ready -->\n```sh\nthree\n```\n" +
	"Text.\n<!-- not run: it deletes the machine -->\n```sh\nfour\n```\n" +
	"<!-- run by internal/systemdtest -->\n```sql\nSELECT 5\n```\n" +
	"<!-- not run: of another block -->\n\n```sh\nsix\n```\n" +
	"```\nretraind seven\n```\n" +
	"```\nrelevance  WATCHING\n```\n" +
	"1. A step\n\n   <!-- needs eight -->\n   ```sh\n   eight\n   ```\n"

// parse finds the blocks with their places, and reads the marks directly above them.
func TestParse(t *testing.T) {
	t.Parallel()
	want := []Block{
		{Page: "page.md", Line: 3, Language: "sh", Text: "one\ntwo\n"},
		{Page: "page.md", Line: 12, Language: "sh", Text: "three\n", Needs: "curl", Name: "daemon", Ready: "msg=ready"},
		{Page: "page.md", Line: 17, Language: "sh", Text: "four\n", NotRun: "it deletes the machine"},
		{Page: "page.md", Line: 21, Language: "sql", Text: "SELECT 5\n", RunBy: "internal/systemdtest"},
		{Page: "page.md", Line: 26, Language: "sh", Text: "six\n"},
		{Page: "page.md", Line: 29, Language: "sh", Text: "retraind seven\n"},
		{Page: "page.md", Line: 38, Language: "sh", Text: "   eight\n", Needs: "eight"},
	}
	if diff := cmp.Diff(want, parse("page.md", page)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
