package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/watch/labelevent"
)

func newLabel(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "label", Short: "Send label changes, or accept that items are gone from the table", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLabelAdd(a), newLabelAccept(a))
	return cmd
}

func newLabelAccept(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "accept MODEL",
		Short: "Accept that items are gone from the table",
		Long: `Let the daemon forget the items that its last read of the whole table did not find.

If a read finds more items missing than labels.postgres.shrink_guard allows, none is forgotten, because the
rows may be hidden or being reloaded. retraind status reports this, and the daemon reads again every minute
until the rows are back. This command confirms that the rows were deleted. Exit code 5: no read was refused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.AcceptLabels(cmd.Context(), args[0], ""); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"model": args[0], "accepted": true})
			}
			say(a.stdout, "the table of model %s is being read again; retraind then forgets the items that are no longer in it",
				args[0])
			return nil
		},
	}
}

// addition holds the flags of `label add`.
type addition struct {
	id, label, author string
	labels, text      map[string]string
	remove            bool
	offline           bool
}

func newLabelAdd(a *app) *cobra.Command {
	var add addition
	cmd := &cobra.Command{
		Use:   "add MODEL [--id ID --label LABEL]",
		Short: "Add label changes: one by flags, or many as JSON Lines from standard input",
		Long: `Send label changes to the daemon: one given by flags, or many from standard input, one JSON object per
line, in the format of docs/sources.md. With --offline, or if no daemon answers, they are written
atomically to the model's directory of label files instead.

If some lines are invalid, they are reported, the other lines are used, and the exit code is 3.`,
		Example: `  retraind label add news --id 4711 --label sport
  retraind label add news --id 4712 --text title='Ein Titel' --text content='Ein Text' --label sport
  psql -At -c "select json_build_object('id', id, 'label', topic) from corrections" | retraind label add news`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			m, ok := l.File.Models[args[0]]
			if !ok {
				return noModel(args[0], l.File.Names())
			}
			in := a.stdin
			if add.id != "" {
				if in, err = add.line(); err != nil {
					return err
				}
			} else if add.label != "" || len(add.labels)+len(add.text) > 0 || add.remove {
				return fail(exitUsage, "--id is missing: it names the item to change")
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return a.addLabels(ctx, cmd, args[0], m, in, add.offline)
		},
	}
	f := cmd.Flags()
	f.StringVar(&add.id, "id", "", "the item; without it, JSON Lines are read from standard input")
	f.StringVar(&add.label, "label", "", "label of the item, if the model has one target")
	f.StringToStringVar(&add.labels, "target", nil, "label of the item for a target, target=label; may be repeated")
	f.StringToStringVar(&add.text, "text", nil,
		"text of the item, field=text; may be repeated; required if the item is unknown")
	f.StringVar(&add.author, "author", "", "author of the label (default: your user name)")
	f.BoolVar(&add.remove, "delete", false, "delete the item")
	f.BoolVar(&add.offline, "offline", false, "write a label file instead of sending to the daemon")
	return cmd
}

// line returns, as a line of JSON, the event that the flags describe.
func (add addition) line() (io.Reader, error) {
	e := map[string]any{"id": add.id}
	if add.label != "" {
		e["label"] = add.label
	}
	if len(add.labels) > 0 {
		e["labels"] = add.labels
	}
	if len(add.text) > 0 {
		e["text"] = add.text
	}
	if add.author != "" {
		e["author"] = add.author
	}
	if add.remove {
		e["deleted"] = true
	}
	b, err := json.Marshal(e)
	return bytes.NewReader(append(b, '\n')), err
}

// addBatch limits the bytes of one request.
const addBatch = 1 << 20

// addLabels sends the lines in batches and adds up the results. It writes a label file instead if offline is set, or if
// no daemon answers to the first batch and the model reads label files. It writes none in a step of a run: a label file
// cannot mark labels as the run's own.
func (a *app) addLabels(ctx context.Context, cmd *cobra.Command, model string, m *configs.Model, in io.Reader,
	offline bool,
) error {
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	var sum status.Added
	var file *labelFile
	defer func() {
		if file != nil {
			_ = file.pending.Cleanup() // a no-op once the file is in its place
		}
	}()
	lines := 0
	run := os.Getenv("RETRAIND_RUN") // set in the steps of a run
	if run != "" && offline {
		return fail(exitUsage, "--offline: a label file would not mark these labels as those of run %s; send them to the daemon",
			run)
	}
	hand := func(batch []byte, numbers []int) error {
		if file == nil && !offline {
			got, err := c.AddLabels(ctx, model, batch, "", run)
			if err == nil {
				sum = together(sum, got, numbers)
				return nil
			}
			first := lines == len(numbers)
			if !errors.Is(err, status.ErrUnreachable) || m.Labels.Files == nil || !first || run != "" {
				return err
			}
			say(a.stderr, "retraind: no daemon answers; writing a label file instead")
		}
		if file == nil {
			var err error
			if file, err = newLabelFile(model, m); err != nil {
				return err
			}
		}
		return file.add(&sum, batch, numbers)
	}
	r := bufio.NewReaderSize(interruptible{ctx, in}, 64<<10)
	var batch []byte
	var numbers []int // of the batch's lines in the input, from 0
	for n := 0; ; n++ {
		line, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			batch, numbers = append(append(batch, line...), '\n'), append(numbers, n)
			lines++
		}
		if len(batch) > 0 && (err != nil || len(batch) >= addBatch) {
			if err := hand(batch, numbers); err != nil {
				return err
			}
			batch, numbers = batch[:0], numbers[:0]
		}
		if err != nil {
			break
		}
	}
	if lines == 0 {
		return fail(exitUsage, "nothing to add: give --id and --label, or JSON Lines on standard input")
	}
	if file != nil {
		if err := file.close(&sum); err != nil {
			return err
		}
	}
	return a.showAdded(sum, file)
}

// interruptible is an input whose Read also returns when the context ends. Standard input has no deadline.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	var n int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err = i.in.Read(p)
	}()
	select {
	case <-done:
		return n, err
	case <-i.ctx.Done(): // nothing uses p after this error
		return 0, errInterrupted
	}
}

func together(sum, got status.Added, numbers []int) status.Added {
	sum.Taken, sum.Known, sum.Waiting = sum.Taken+got.Taken, sum.Known+got.Known, sum.Waiting+got.Waiting
	for _, r := range got.Rejected {
		r.Index = numbers[min(r.Index, len(numbers)-1)] // a line may contain a list of events
		sum.Rejected = append(sum.Rejected, r)
	}
	return sum
}

func (a *app) showAdded(sum status.Added, file *labelFile) error {
	if a.json {
		if err := a.printJSON(sum); err != nil {
			return err
		}
	} else {
		said := text.Plural(sum.Taken, "change") + " stored"
		if file != nil {
			said = text.Plural(sum.Taken, "change") + " written to " + file.path + ", which the daemon reads"
		}
		if sum.Waiting > 0 {
			said += "; " + text.Plural(sum.Waiting, "change") + " buffered until retraind knows the item"
		}
		say(a.stdout, "%s", said)
		for _, r := range sum.Rejected {
			say(a.stderr, "retraind: line %d: %s", r.Index+1, r.Reason)
		}
	}
	if len(sum.Rejected) > 0 {
		return silent(exitNo)
	}
	return nil
}

// labelFile is a new file in a model's directory of label files. It is created atomically.
type labelFile struct {
	path    string
	decoder *labelevent.Decoder
	author  string
	pending *renameio.PendingFile
}

func newLabelFile(model string, m *configs.Model) (*labelFile, error) {
	files := m.Labels.Files
	if files == nil {
		return nil, fmt.Errorf("no daemon answers, and model %s has no label files (labels.files): start the daemon", model)
	}
	if !files.Plain() {
		return nil, fmt.Errorf("labels.files of model %s configures its own field names: write such a file yourself, or start the daemon",
			model)
	}
	f := &labelFile{
		path:    filepath.Join(files.Dir, "added-"+strings.ToLower(ulid.Make().String())+".jsonl"),
		decoder: m.Labels.Decoder(labelevent.Mapping{}, m.Serving.List(), m.Heldout.Group),
	}
	if u, err := user.Current(); err == nil {
		f.author = u.Username
	}
	var err error
	f.pending, err = renameio.NewPendingFile(f.path, renameio.WithTempDir(files.Dir), renameio.WithPermissions(0o640))
	return f, err
}

// add writes the valid lines.
func (f *labelFile) add(sum *status.Added, batch []byte, numbers []int) error {
	n := 0
	for line := range bytes.Lines(batch) {
		line = bytes.TrimSpace(line)
		e, err := f.decoder.Decode(line, time.Now().UTC())
		if err != nil {
			sum.Rejected = append(sum.Rejected, labelevent.Refusal{Index: numbers[n], Reason: err.Error()})
		} else {
			if e.Author == "" && f.author != "" {
				author, err := json.Marshal(f.author)
				if err != nil {
					return err
				}
				line = append(append(append([]byte(`{"author":`), author...), ','), line[1:]...)
			}
			if _, err := f.pending.Write(append(line, '\n')); err != nil {
				return err
			}
			sum.Taken++
		}
		n++
	}
	return nil
}

func (f *labelFile) close(sum *status.Added) error {
	if sum.Taken == 0 {
		return f.pending.Cleanup()
	}
	return f.pending.CloseAtomicallyReplace()
}
