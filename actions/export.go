package actions

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/watch"
)

// Row is one labelled row of the source as it stands, with its side.
type Row struct {
	watch.Item
	Heldout bool
}

// Example is one line of train.jsonl and test.jsonl. A training copies id and text_hash into its predictions.
type Example struct {
	ID       string            `json:"id"`
	TextHash string            `json:"text_hash"`
	Text     map[string]string `json:"text"`
	Labels   map[string]string `json:"labels"`
}

// shrinkGuard is the share by which an export may be smaller than the champion's before it is taken for broken.
const shrinkGuard = 0.20

// lostCategory is how many training items of the champion's export make a category that cannot vanish by corrections.
const lostCategory = 20

// Export writes the rows to dir/train.jsonl and dir/test.jsonl with a manifest, all of them complete or none. Target
// names the gating target; rows without its label are counted and left out.
func Export(ctx context.Context, dir, target string, rows iter.Seq2[Row, error]) (ExportFacts, error) {
	facts := ExportFacts{Labels: map[string]int{}, At: time.Now().UTC()}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return facts, fmt.Errorf("export: %w", err)
	}
	train, err := newExportFile(dir, "train.jsonl")
	if err != nil {
		return facts, err
	}
	defer train.Cleanup() //nolint:errcheck // a no-op once it was put in its place
	test, err := newExportFile(dir, "test.jsonl")
	if err != nil {
		return facts, err
	}
	defer test.Cleanup() //nolint:errcheck // as above
	var print drift.Fingerprint
	heldout := map[string]bool{} // text hashes: proves that no held-out text is trained on
	var trained []string
	for row, err := range rows {
		if err != nil {
			return facts, fmt.Errorf("export: %w", err)
		}
		if ctx.Err() != nil {
			return facts, context.Cause(ctx)
		}
		hash := drift.TextHash(row.Text)
		print.Toggle(row.ID, hash, row.Labels)
		label, ok := row.Labels[target]
		if !ok {
			facts.Unlabelled++
			continue
		}
		facts.Items++
		out := train
		if row.Heldout {
			out = test
			facts.Test++
			heldout[hash] = true
		} else {
			facts.Train++
			facts.Labels[label]++
			trained = append(trained, hash)
		}
		if err := out.encode(Example{ID: row.ID, TextHash: hash, Text: row.Text, Labels: row.Labels}); err != nil {
			return facts, fmt.Errorf("export: %w", err)
		}
	}
	facts.Info = print.String()
	for _, hash := range trained {
		if heldout[hash] {
			return facts, errors.New("export: a held-out text is also a training text: the group columns tell duplicates apart; name the text columns in heldout.group")
		}
	}
	if err := errors.Join(train.close(), test.close()); err != nil {
		return facts, fmt.Errorf("export: %w", err)
	}
	b, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return facts, err
	}
	return facts, renameio.WriteFile(filepath.Join(dir, "manifest.json"), append(b, '\n'), 0o600)
}

// CheckExport refuses an export that cannot be right: empty, one-sided, much smaller than the one before, or without one
// of its categories.
func CheckExport(facts ExportFacts, before map[string]int) error {
	switch {
	case facts.Items == 0:
		return errors.New("the export is empty: no row carries a label; check labels.postgres.table and labels.postgres.label")
	case facts.Test == 0:
		return fmt.Errorf("no item of %d is held out: raise heldout.share, or label more items", facts.Items)
	case facts.Train == 0:
		return fmt.Errorf("all %d items are held out: lower heldout.share", facts.Items)
	case len(facts.Labels) < 2:
		return errors.New("the training items carry one category only: a classifier needs at least two")
	}
	was := 0
	for _, n := range before {
		was += n
	}
	if float64(facts.Train) < (1-shrinkGuard)*float64(was) {
		return fmt.Errorf("the export has %d training items, the champion's had %d: a loss of more than %.0f %% is taken for a broken source; if it is right, force the retrain", facts.Train, was, 100*shrinkGuard)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if n := before[name]; n >= lostCategory && facts.Labels[name] == 0 {
			return fmt.Errorf("category %q had %d training items in the champion's export and has none now: this is taken for a broken source; if it is right, force the retrain", name, n)
		}
	}
	return nil
}

type exportFile struct {
	*renameio.PendingFile
	buf *bufio.Writer
	enc *json.Encoder
}

func newExportFile(dir, name string) (*exportFile, error) {
	f, err := renameio.NewPendingFile(filepath.Join(dir, name), renameio.WithPermissions(0o600))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	buf := bufio.NewWriterSize(f, 1<<18)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return &exportFile{PendingFile: f, buf: buf, enc: enc}, nil
}

func (f *exportFile) encode(e Example) error { return f.enc.Encode(e) }

func (f *exportFile) close() error {
	if err := f.buf.Flush(); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
