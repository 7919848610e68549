package actions

import (
	"context"
	"encoding/hex"
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

	"github.com/retraind/retraind/actions/teacher"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/serving/ollama"
	"github.com/retraind/retraind/watch"
)

// Row is one row of the source in its present state, with canonical labels and its side (train, validation or test).
type Row struct {
	watch.Item
	Side  drift.Side
	Group string // drift.GroupHash of its group key
	// Duplicate marks a row of the training side whose group is held out: it is counted, but not exported for training.
	Duplicate bool
}

// Example is one line of train.jsonl, validation.jsonl and test.jsonl. The training program copies id and text_hash
// into its predictions. Labels are texts, true or false, or lists of texts, depending on the target's kind.
type Example struct {
	ID       string            `json:"id"`
	TextHash string            `json:"text_hash"`
	Text     map[string]string `json:"text"`
	Labels   map[string]any    `json:"labels"`
	// Messages are the text with its labels, as a conversation for training a language model; only in the chat format.
	Messages []ollama.Message `json:"messages,omitempty"`
}

// shrinkGuard is the largest share of training items that an export may lose compared with the champion's; a larger
// loss is treated as a fault.
const shrinkGuard = 0.20

// lostCategory is how many training items a category must have had in the champion's export for its absence to be
// treated as a fault; a smaller category may have lost its items by corrections.
const lostCategory = 20

// ExportPlan configures an export.
type ExportPlan struct {
	Targets []serving.Target // the gating one first; rows without a label for it are counted and omitted
	SaltID  string           // name of the salt by which held-out items are chosen
	Seq     int64            // last label change that is certainly in the rows; 0 if it is unknown
	// Remember also records the ids of the training items.
	Remember bool
	// Chat adds messages to each line; nil for none. Rows whose labels do not make a complete answer are omitted from the
	// training files.
	Chat *serving.Chat
	// Prompts is the digest of the files for requests and chats, for the manifest.
	Prompts string
	// Overlay has the answers of a larger model for training rows, by item and text hash. Labels of people take
	// precedence.
	Overlay map[[2]string]teacher.Over
	// Guard refuses an implausible export before a former one is replaced; nil accepts all.
	Guard func(ExportFacts) error
}

// Export writes the rows to dir/train.jsonl, validation.jsonl and test.jsonl with a manifest. It replaces no former
// file before all rows are written, and checks that no held-out group is in a training file. The returned Seen has the
// groups of the training items, and their ids if Remember is set. Export needs about 24 bytes of memory per row.
func Export(ctx context.Context, dir string, plan ExportPlan, rows iter.Seq2[Row, error]) (facts ExportFacts,
	seen *drift.Seen, err error,
) {
	facts = ExportFacts{
		Labels: map[string]int{}, Splits: map[drift.Side]*SplitFacts{}, SaltID: plan.SaltID,
		At: time.Now().UTC(), Prompts: plan.Prompts, Seq: plan.Seq,
	}
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
		defer f.cleanup()
		files[side] = f
		facts.Splits[side] = &SplitFacts{Labels: map[string]int{}}
	}
	var print drift.Fingerprint
	var heldout [][16]byte // the groups in test.jsonl, to check that no held-out text is trained on
	for row, err := range rows {
		if err != nil {
			return facts, seen, fmt.Errorf("export: %w", err)
		}
		if ctx.Err() != nil {
			return facts, seen, context.Cause(ctx)
		}
		hash := drift.TextHash(row.Text)
		print.Toggle(row.ID, hash, row.Labels)
		own, ok := row.Labels[plan.Targets[0].Name]
		over := plan.over(&row, hash)
		switch {
		case !ok && row.Labels[plan.Targets[0].Name] == "":
			facts.Unlabelled++
			continue
		case row.Duplicate:
			facts.Duplicates++
			continue
		}
		messages, err := plan.messages(row, over)
		switch {
		case errors.Is(err, serving.ErrIncomplete) && row.Side != drift.SideTest:
			facts.Incomplete++
			continue
		case err != nil && !errors.Is(err, serving.ErrIncomplete):
			return facts, seen, fmt.Errorf("export: item %q: %w; correct the label, or serving.ollama.format_file", row.ID, err)
		}
		split := facts.Splits[row.Side]
		split.Items++
		split.Labels[row.Labels[plan.Targets[0].Name]]++
		if ok { // exports are compared by people's labels only
			facts.Items++
		} else {
			facts.Overlay++
		}
		if row.Side == drift.SideTest {
			facts.Test++
			var group [16]byte
			hex.Decode(group[:], []byte(row.Group)) //nolint:errcheck // it is drift's own
			heldout = append(heldout, group)
		} else {
			if ok {
				facts.Train++
				facts.Labels[own]++
			}
			if plan.Remember {
				seen.Add(row.ID, row.Group)
			} else {
				seen.Add("", row.Group)
			}
		}
		if err := files[row.Side].add(plan.Targets, row, hash, messages); err != nil {
			return facts, seen, fmt.Errorf("export: %w", err)
		}
	}
	facts.Info = print.String()
	seen.Sort()
	for i, group := range heldout {
		if seen.Has("", hex.EncodeToString(group[:])) {
			id, err := files[drift.SideTest].id(i)
			return facts, seen,
				errors.Join(fmt.Errorf("export: item %q is held out and another item with the same text is trained on: one of them was edited just now; export again",
					id), err)
		}
	}
	if plan.Guard != nil {
		if err := plan.Guard(facts); err != nil {
			return facts, seen, err
		}
	}
	for _, side := range sides {
		if facts.Splits[side].SHA256, err = files[side].finish(); err != nil {
			return facts, seen, fmt.Errorf("export: %w", err)
		}
	}
	b, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return facts, seen, err
	}
	return facts, seen, renameio.WriteFile(filepath.Join(dir, "manifest.json"), append(b, '\n'), 0o600)
}

// messages returns the conversation for a row, nil without a chat.
func (p ExportPlan) messages(row Row, over json.RawMessage) ([]ollama.Message, error) {
	if p.Chat == nil {
		return nil, nil
	}
	if over != nil {
		return p.Chat.Whole(row.Text, over)
	}
	return p.Chat.Messages(row.Text, row.Labels)
}

// over adds to a training row the larger model's labels for the targets that no person has labelled. It returns the
// larger model's whole answer, nil if there is none.
func (p ExportPlan) over(row *Row, hash string) json.RawMessage {
	over, ok := p.Overlay[[2]string{row.ID, hash}]
	if !ok || row.Side == drift.SideTest {
		return nil
	}
	own := row.Labels
	row.Labels = maps.Clone(over.Labels)
	if row.Labels == nil {
		row.Labels = map[string]string{}
	}
	maps.Copy(row.Labels, own)
	return over.Answer
}

var sides = []drift.Side{drift.SideTrain, drift.SideValidation, drift.SideTest}

// categories returns the number of categories among the training items, including those that a larger model has
// labelled.
func (f ExportFacts) categories() int {
	all := maps.Clone(f.Labels)
	for side, split := range f.Splits {
		if side != drift.SideTest {
			maps.Copy(all, split.Labels)
		}
	}
	return len(all)
}

// CheckExport refuses an implausible export: empty, with all items on one side, with fewer than two categories, much
// smaller than the champion's export, or without a category that had many items there. before has the training items of
// the champion's export by category.
func CheckExport(facts ExportFacts, before map[string]int) error {
	switch {
	case facts.Items == 0:
		return errors.New("the export is empty: no item has a label; check the columns under labels")
	case facts.Test == 0:
		return fmt.Errorf("none of the %d items is held out: raise heldout.share, or label more items", facts.Items)
	case facts.Train+facts.Overlay == 0:
		return fmt.Errorf("all %d items are held out: lower heldout.share", facts.Items)
	case facts.categories() < 2:
		return errors.New("the training items have one category only: a classifier needs at least two")
	}
	was := 0
	for _, n := range before {
		was += n
	}
	if float64(facts.Train) < (1-shrinkGuard)*float64(was) {
		return fmt.Errorf("the export has %d training items, the champion's had %d: a loss of more than %.0f%% suggests a broken source; if it is intended, force the retrain",
			facts.Train, was, 100*shrinkGuard)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if n := before[name]; n >= lostCategory && facts.Labels[name] == 0 {
			return fmt.Errorf("category %q had %d training items in the champion's export and has none now: this suggests a broken source; if it is intended, force the retrain",
				name, n)
		}
	}
	return nil
}
