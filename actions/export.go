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
	// Messages are the text and its labels as a language model is trained on them: the chat format alone has them.
	Messages []ollama.Message `json:"messages,omitempty"`
}

// shrinkGuard is the share by which an export may be smaller than the champion's; a larger loss is refused as a fault.
const shrinkGuard = 0.20

// lostCategory is the number of training items in the champion's export from which a category cannot vanish by
// corrections.
const lostCategory = 20

// ExportPlan says how an export is written.
type ExportPlan struct {
	Targets []serving.Target // the gating one first; rows without its label are counted and left out
	SaltID  string           // names the salt that the sides were decided with
	// Remember asks for the ids, too, of what is trained on.
	Remember bool
	// Chat adds messages to each line; nil for none. Rows whose labels do not fill the answer are held out, or left out.
	Chat *serving.Chat
	// Prompts is the digest of the files that requests and chats are made of, for the manifest.
	Prompts string
	// Overlay is what a larger model said about training rows, by item and text hash. People's labels win.
	Overlay map[[2]string]teacher.Over
	// Guard refuses what cannot be right before a former export is replaced; nil lets everything pass.
	Guard func(ExportFacts) error
}

// Export writes the rows to dir/train.jsonl, validation.jsonl and test.jsonl with a manifest, all of them complete or
// none, and proves that no held-out group is trained on. Seen is what a release would have trained on, its items only
// where the plan asks to remember them. Memory holds about 24 bytes for each row.
func Export(ctx context.Context, dir string, plan ExportPlan, rows iter.Seq2[Row, error]) (facts ExportFacts,
	seen *drift.Seen, err error,
) {
	facts = ExportFacts{
		Labels: map[string]int{}, Splits: map[drift.Side]*SplitFacts{}, SaltID: plan.SaltID,
		At: time.Now().UTC(), Prompts: plan.Prompts,
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
	var heldout [][16]byte // the group of each line of test.jsonl: proves that no held-out text is trained on
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
		if ok { // what people labelled is what exports are compared by
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

// messages are the conversation about a row, nil without a chat.
func (p ExportPlan) messages(row Row, over json.RawMessage) ([]ollama.Message, error) {
	if p.Chat == nil {
		return nil, nil
	}
	if over != nil {
		return p.Chat.Whole(row.Text, over)
	}
	return p.Chat.Messages(row.Text, row.Labels)
}

// over adds to a training row the labels that a larger model gave it and no person did, and returns the whole answer; nil
// where there is none.
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

// CheckExport refuses an export that cannot be right: empty, one-sided, much smaller than the one before, or without one
// of its categories.
func CheckExport(facts ExportFacts, before map[string]int) error {
	switch {
	case facts.Items == 0:
		return errors.New("the export is empty: no item carries a label; check what labels: names")
	case facts.Test == 0:
		return fmt.Errorf("no item of %d is held out: raise heldout.share, or label more items", facts.Items)
	case facts.Train+facts.Overlay == 0:
		return fmt.Errorf("all %d items are held out: lower heldout.share", facts.Items)
	case len(facts.Labels) < 2:
		return errors.New("the training items carry one category only: a classifier needs at least two")
	}
	was := 0
	for _, n := range before {
		was += n
	}
	if float64(facts.Train) < (1-shrinkGuard)*float64(was) {
		return fmt.Errorf("the export has %d training items, the champion's had %d: a loss of more than %.0f %% is taken for a broken source; if it is right, force the retrain",
			facts.Train, was, 100*shrinkGuard)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if n := before[name]; n >= lostCategory && facts.Labels[name] == 0 {
			return fmt.Errorf("category %q had %d training items in the champion's export and has none now: this is taken for a broken source; if it is right, force the retrain",
				name, n)
		}
	}
	return nil
}
