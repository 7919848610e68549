package demo

import (
	"context"
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"

	"github.com/retraind/retraind/internal/text"
)

// scenes names the runs of the story.
var scenes = []string{"first release", "labels corrected", "labels poisoned", "old model served"}

// ending prints the table of what happened.
func (s *stage) ending(r Result) {
	if s.out == nil {
		return
	}
	t := table.New().Border(lipgloss.NormalBorder()).BorderStyle(lipgloss.NewStyle().Faint(true)).
		Headers("run", "act", "outcome", "champion", "candidate", "95% interval", "held-out", "took").
		StyleFunc(func(row, _ int) lipgloss.Style {
			st := lipgloss.NewStyle().Padding(0, 1)
			if row == table.HeaderRow {
				st = st.Bold(true)
			}
			return st
		})
	for i, run := range r.Runs {
		story := "unexpected"
		if i < len(scenes) {
			story = scenes[i]
		}
		before, after, interval, n := "none", "", "", ""
		if a := run.Accuracy; a != nil {
			if a.Before != nil {
				before = fmt.Sprintf("%.1f%%", 100**a.Before)
			}
			after, interval, n = fmt.Sprintf("%.1f%%", 100*a.After), fmt.Sprintf("%.1f to %.1f", 100*a.Low, 100*a.High),
				fmt.Sprint(a.N)
		}
		t.Row(text.RunID(run.ID), story, string(run.Outcome), before, after, interval, n, fmt.Sprintf("%.1f s", run.Seconds))
	}
	var b strings.Builder
	b.WriteString("\n" + t.String() + "\n")
	for _, run := range r.Runs {
		fmt.Fprintf(&b, "%s %s: %s\n", text.RunID(run.ID), run.Outcome, run.Reason)
	}
	fmt.Fprintf(&b, "\n%d label changes in %d items, %d counted; %d requests to the classifier, %d failed; %d events received; %.1f s\n",
		r.LabelChanges, r.Items, r.Counted, r.Requests, r.FailedRequests, len(r.Events), r.Seconds)
	if r.OK {
		b.WriteString("Everything happened as expected.\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "UNEXPECTED: %s\n", p)
	}
	_, _ = lipgloss.Fprint(s.out, b.String())
}

// keep prints commands to try, and leaves everything running until ctx ends.
func keep(ctx context.Context, out io.Writer, w *world) {
	fmt.Fprintf(out, `
Everything keeps running until you press Ctrl-C. Things to try in another terminal:

  export RETRAIND_CONFIG=%[1]s
  %[2]s status
  %[2]s explain %[3]s
  %[2]s runs list
  %[2]s models show %[3]s
  kill -USR1 %[4]d        # retrain now; the service still serves its old model, so the deployment is rolled back
  kill -USR2 %[4]d        # evaluate now
  kill -HUP %[4]d         # read %[1]s again, after you edited it
  psql "host=%[5]s dbname=%[6]s user=postgres" -c "update items set category = 'Sport' where id in (select id from items limit 50)"
  nats sub -s %[7]s --nkey %[9]s 'retraind.evt.v1.>'
  http://%[8]s            # the page

`,
		w.config(), w.self, modelName, w.daemon.cmd.Process.Pid, w.db.cluster.Dir(), databaseName,
		w.natsURL, w.page, w.natsKey())
	<-ctx.Done()
}
