package actions

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
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

// Row is one labelled row of the source as it stands, with canonical labels and its place.
type Row struct {
	watch.Item
	Side  drift.Side
	Group string // drift.GroupHash of its group key
	// Duplicate marks a row of the training side whose group is held out: it is counted, and trained on by nobody.
	Duplicate bool
}

// Example is one line of train.jsonl, validation.jsonl and test.jsonl. A training copies id and text_hash into its
// predictions. Labels are texts, true or false, or lists of texts, as the target's kind says.
type Example struct {
	ID       string            `json:"id"`
	TextHash string            `json:"text_hash"`
	Text     map[string]string `json:"text"`
	Labels   map[string]any    `json:"labels"`
}

// shrinkGuard is the share by which an export may be smaller than the champion's before it is taken for broken.
const shrinkGuard = 0.20

// lostCategory is how many training items of the champion's export make a category that cannot vanish by corrections.
const lostCategory = 20

// ExportPlan says how an export is written.
type ExportPlan struct {
	Targets []drift.Target // the gating one first; rows without its label are counted and left out
	SaltID  string         // names the salt that the sides were decided with
	// Guard refuses what cannot be right before a former export is replaced; nil lets everything pass.
	Guard func(ExportFacts) error
}

// Export writes the rows to dir/train.jsonl, validation.jsonl and test.jsonl with a manifest, all of them complete or
// none, and proves that no held-out group is trained on. Seen is what a release would have trained on.
func Export(ctx context.Context, dir string, plan ExportPlan, rows iter.Seq2[Row, error]) (facts ExportFacts, seen *drift.Seen, err error) {
	facts = ExportFacts{Labels: map[string]int{}, Splits: map[drift.Side]*SplitFacts{}, SaltID: plan.SaltID, At: time.Now().UTC()}
	seen = &drift.Seen{}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return facts, seen, fmt.Errorf("export: %w", err)
	}
	files := map[drift.Side]*exportFile{}
	for _, side := range sides {
		f, err := newExportFile(dir, string(side)+".jsonl")
		if err != nil {
			return facts, seen, err
		}
		defer f.Cleanup() //nolint:errcheck // a no-op once it was put in its place
		files[side] = f
		facts.Splits[side] = &SplitFacts{Labels: map[string]int{}}
	}
	var print drift.Fingerprint
	heldout := map[string]string{} // group to item: proves that no held-out text is trained on
	for row, err := range ahead(rows) {
		if err != nil {
			return facts, seen, fmt.Errorf("export: %w", err)
		}
		if ctx.Err() != nil {
			return facts, seen, context.Cause(ctx)
		}
		hash := drift.TextHash(row.Text)
		print.Toggle(row.ID, hash, row.Labels)
		label, ok := row.Labels[plan.Targets[0].Name]
		switch {
		case !ok:
			facts.Unlabelled++
			continue
		case row.Duplicate:
			facts.Duplicates++
			continue
		}
		facts.Items++
		split := facts.Splits[row.Side]
		split.Items++
		split.Labels[label]++
		if row.Side == drift.SideTest {
			facts.Test++
			heldout[row.Group] = row.ID
		} else {
			facts.Train++
			facts.Labels[label]++
			seen.Add(row.ID, row.Group)
		}
		if err := files[row.Side].add(plan.Targets, row, hash); err != nil {
			return facts, seen, fmt.Errorf("export: %w", err)
		}
	}
	facts.Info = print.String()
	seen.Sort()
	for group, id := range heldout {
		if seen.Has("", group) {
			return facts, seen, fmt.Errorf("export: item %q is held out and another item with the same text is trained on: one of them was edited just now; export again", id)
		}
	}
	if plan.Guard != nil {
		if err := plan.Guard(facts); err != nil {
			return facts, seen, err
		}
	}
	for _, side := range sides {
		f, split := files[side], facts.Splits[side]
		if err := f.close(); err != nil {
			return facts, seen, fmt.Errorf("export: %w", err)
		}
		split.SHA256, split.Merkle = hex.EncodeToString(f.sum.Sum(nil)), f.tree.Root()
	}
	b, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return facts, seen, err
	}
	return facts, seen, renameio.WriteFile(filepath.Join(dir, "manifest.json"), append(b, '\n'), 0o600)
}

var sides = []drift.Side{drift.SideTrain, drift.SideValidation, drift.SideTest}

// CheckExport refuses an export that cannot be right: empty, one-sided, much smaller than the one before, or without one
// of its categories.
func CheckExport(facts ExportFacts, before map[string]int) error {
	switch {
	case facts.Items == 0:
		return errors.New("the export is empty: no item carries a label; check what labels: names")
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

// exportFile is one file on its way, with its digest and its tree.
type exportFile struct {
	*renameio.PendingFile
	buf  *bufio.Writer
	line []byte // the last one, for its memory
	sum  hash.Hash
	tree drift.Merkle
}

func newExportFile(dir, name string) (*exportFile, error) {
	f, err := renameio.NewPendingFile(filepath.Join(dir, name), renameio.WithPermissions(0o600))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	sum := sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<18)
	return &exportFile{PendingFile: f, buf: buf, sum: sum}, nil
}

func (f *exportFile) add(targets []drift.Target, row Row, hash string) error {
	f.tree.Add(row.ID, hash, row.Labels)
	line, err := appendExample(f.line[:0], targets, row, hash)
	if err != nil {
		return err
	}
	f.line = line
	_, err = f.buf.Write(line)
	return err
}

func (f *exportFile) close() error {
	if err := f.buf.Flush(); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
