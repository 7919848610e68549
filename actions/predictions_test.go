package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/serving"
)

const goodLine = `{"id":"1","text_hash":"h","answers":{"label":"a"}}` + "\n"

var oneTarget = []serving.Target{{Name: "label"}}

func TestReadPredictions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, predictionsFile), goodLine+
		`{"id":"2","text_hash":"h","answers":{"label":"b","other":"c","aks":["z","a"],"yes":true,"unknown":{}},"confidence":0.9}
{"id":"3","text_hash":"h","answers":{"label":12345678901234567890,"other":null,"aks":"[\"b\"]"},"confidence":7}`)
	got, err := readPredictions(dir,
		[]serving.Target{
			{Name: "label"},
			{Name: "other", Null: "none"},
			{Name: "aks", Kind: serving.KindSet},
			{Name: "yes", Kind: serving.KindBool},
		})
	want := answers{
		{"1", "h"}: {Answers: serving.Answers{"label": "a"}},
		{"2", "h"}: {
			Answers:    serving.Answers{"label": "b", "other": "c", "aks": `["a","z"]`, "yes": "true"},
			confidence: 0.9,
		},
		{"3", "h"}: {Answers: serving.Answers{"label": "12345678901234567890", "other": "none", "aks": `["b"]`}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestBadPredictionsAreNamedByLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"none", "", ""},
		{"not JSON", goodLine + "{\n", predictionsFile + ":2: unexpected end of JSON input"},
		{"an empty line", goodLine + "\n" + goodLine, predictionsFile + ":2: "},
		{"another type", goodLine + goodLine + `{"id":7}` + "\n", predictionsFile + ":3: json: cannot unmarshal number"},
		{
			"no id", `{"text_hash":"h","answers":{"label":"a"}}`,
			predictionsFile + ":1: id, text_hash and answers are required",
		},
		{"no hash", `{"id":"1","answers":{"label":"a"}}`, predictionsFile + ":1: id, text_hash and answers are required"},
		{
			"no answers", goodLine + `{"id":"1","text_hash":"h","answers":{}}`,
			predictionsFile + ":2: id, text_hash and answers are required",
		},
		{
			"another target", `{"id":"1","text_hash":"h","answers":{"other":"a"}}`,
			predictionsFile + `:1: answers has no "label", the gating target`,
		},
		{
			"a set where a text belongs", `{"id":"1","text_hash":"h","answers":{"label":["a"]}}`,
			predictionsFile + `:1: answers.label: "[\"a\"]" is not a category`,
		},
		{
			"null without a meaning", `{"id":"1","text_hash":"h","answers":{"label":null}}`,
			predictionsFile + `:1: answers.label: null, but the meaning of null is not configured`,
		},
		{"too long a line", goodLine + strings.Repeat("x", 2<<20), predictionsFile + ":2: bufio.Scanner: token too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeText(t, filepath.Join(dir, predictionsFile), c.text)
			_, err := readPredictions(dir, oneTarget)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, c.want)) {
				t.Errorf("got %v, want …%s", err, c.want)
			}
		})
	}
	_, err := readPredictions(t.TempDir(), oneTarget)
	if err == nil ||
		!strings.Contains(err.Error(),
			"the training wrote no predictions.jsonl into $RETRAIND_RELEASE_DIR: for each line of") {
		t.Errorf("without the file: %v", err)
	}
}

func TestPartialPredictionsAreRefused(t *testing.T) {
	t.Parallel()
	two := answers{{"1", "h"}: {}, {"2", "h"}: {}}
	for test, want := range map[int]string{
		2: "", 1: "",
		3: "predictions.jsonl answers 2 of the 3 lines of test.jsonl: was it cut off?",
	} {
		got := ""
		if err := answersAll(two, &ExportFacts{Test: test}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("of %d: %q", test, got)
		}
	}
	if err := answersAll(two, nil); err != nil {
		t.Errorf("a pipeline without an export: %v", err)
	}
}

// FuzzReadPredictions checks that every output of a training is either read, or refused with an error that begins with
// the file's path.
func FuzzReadPredictions(f *testing.F) {
	for _, seed := range []string{
		goodLine, goodLine + goodLine, "{", "null\n", "[]", "\x00\xff", `{"id":1e9}`,
		`{"answers":{"label":null},"id":"1","text_hash":"h"}`,
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	path := filepath.Join(dir, predictionsFile)
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readPredictions(dir, oneTarget)
		if err != nil {
			if !strings.HasPrefix(err.Error(), path+":") {
				t.Errorf("no place in: %v", err)
			}
			return
		}
		for key, a := range got {
			if _, ok := a.Answers["label"]; !ok || key[0] == "" || key[1] == "" {
				t.Errorf("taken: %v %v", key, a)
			}
		}
	})
}

// FuzzReadRelease checks that no manifest makes a directory a release other than the one that was sealed.
func FuzzReadRelease(f *testing.F) {
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model"), []byte("weights"), 0o600); err != nil {
		f.Fatal(err)
	}
	sealed, err := Seal(dir, "m", "r", time.Unix(0, 0))
	if err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{
		good, good[:len(good)/2], []byte("null"), []byte(`{"digest":"sha256:00"}`),
		[]byte(`{"digest":7}`),
		{},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, manifestFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := ReadRelease(dir)
		if err == nil && r.Digest != sealed.Digest {
			t.Errorf("taken for %q", r.Digest)
		}
		if err != nil && !strings.Contains(err.Error(), "release "+dir) {
			t.Errorf("no place in: %v", err)
		}
	})
}
