package actions

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

func TestPredictionsWithFormatErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, predictionsFile)
	writeText(t, path, goodLine+`{"id":"2","text_hash":"h","error":"format"}`+"\n")
	got, err := readPredictions(dir, oneTarget)
	if err != nil || len(got) != 2 || !got[[2]string{"2", "h"}].IsFormatError() {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		`{"id":"2","text_hash":"h","error":"away"}`:                                    `error "away"`,
		`{"id":"2","text_hash":"h","error":"format","answers":{"label":"a"}}`:          "in place of answers",
		`{"id":"2","error":"format"}`:                                                  "in place of answers",
		`{"id":"2","text_hash":"h","answers":{"label":"` + serving.FormatError + `"}}`: "is reserved for unusable answers",
	} {
		writeText(t, path, text+"\n")
		if _, err := readPredictions(dir, oneTarget); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestJudgeFormatErrors(t *testing.T) {
	t.Parallel()
	for errors, want := range map[int]store.StepState{0: store.StepOK, 2: store.StepOK, 3: store.StepRejected} {
		f := facts(200, 30, 5)
		f.FormatErrors = errors
		if _, class, why := Judge(promote(GateNotWorse), f, "sha256:old"); class != want ||
			(class == store.StepRejected) != strings.Contains(why, "promote.format_errors") {
			t.Errorf("%d: %s, %s", errors, class, why)
		}
	}
}
