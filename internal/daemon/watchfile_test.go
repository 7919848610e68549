package daemon_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
)

// saves writes the configuration in the ways in which different programs do.
type saves struct {
	w *world
	n int
}

func (s *saves) check(err error) {
	s.w.t.Helper()
	if err != nil {
		s.w.t.Fatal(err)
	}
}

// replace writes as careful editors do, atomically.
func (s *saves) replace(text string) { s.w.write(text) }

// truncate writes as cp and careless editors do: for a short time only half of the file exists.
func (s *saves) truncate(text string) {
	f, err := os.OpenFile(s.w.path(), os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o600)
	s.check(err)
	_, err = f.WriteString(text[:len(text)/2])
	s.check(err)
	_, err = f.WriteString(text[len(text)/2:])
	s.check(errors.Join(err, f.Close()))
}

// away writes as vim does with a backup: it moves the file away and writes a new one.
func (s *saves) away(text string) {
	s.check(os.Rename(s.w.path(), s.w.path()+"~"))
	s.check(os.WriteFile(s.w.path(), []byte(text), 0o600))
}

// mount writes as Kubernetes does: the file is a link through ..data, which is replaced as a whole.
func (s *saves) mount(text string) {
	s.n++
	dir, fresh := s.w.dir, fmt.Sprintf("..2026_%d", s.n)
	s.check(os.Mkdir(filepath.Join(dir, fresh), 0o700))
	s.check(os.WriteFile(filepath.Join(dir, fresh, "retraind.yaml"), []byte(text), 0o600))
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	s.check(os.Symlink(fresh, filepath.Join(dir, "..data_tmp")))
	s.check(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	if to, err := os.Readlink(s.w.path()); err != nil || to != "..data/retraind.yaml" {
		s.check(os.Symlink("..data/retraind.yaml", s.w.path()+".tmp"))
		s.check(os.Rename(s.w.path()+".tmp", s.w.path()))
	}
	if old != "" {
		s.check(os.RemoveAll(filepath.Join(dir, old)))
	}
}

// After two hundred saves of all kinds at full speed, every fifth with a fault, the last valid one is in force.
func TestTwoHundredSaves(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.when = "{accuracy_below: 10%}"
	r := w.start()
	r.first()
	good := w.config()
	s := &saves{w: w}
	ways := []func(string){s.replace, s.truncate, s.away, s.mount}
	var last string
	for i := range 200 {
		floor := fmt.Sprintf("accuracy_below: %d.%d%%", 20+i/10, i%10)
		if i%5 == 3 {
			floor = "accuracy_bellow: 1%"
		}
		last = strings.Replace(good, "accuracy_below: 10%", floor, 1)
		ways[(i/7+i)%4](last)
	}
	inForce := func(text string) func() (bool, error) {
		sum := sha256.Sum256([]byte(text))
		want := "sha256:" + hex.EncodeToString(sum[:])
		return func() (bool, error) {
			s, err := r.Snapshot(t.Context())
			return err == nil && s.Config.Digest == want && s.Config.Problem == "", err
		}
	}
	waittest.EventuallyHolds(t, "the last save in force", inForce(last))
	r.model("its floor", func(m status.Model) bool { return fmt.Sprintf("%.3f", m.Floor) == "0.399" })

	t.Log("a save with a fault after it leaves it in force")
	for _, way := range ways {
		way(strings.Replace(good, "accuracy_below: 10%", "accuracy_below: 10", 1))
		waittest.EventuallyHolds(t, "the fault is told", func() (bool, error) {
			s, err := r.Snapshot(t.Context())
			return err == nil && strings.Contains(s.Config.Problem, "write 10% or 0.1"), err
		})
		r.model("the floor stays", func(m status.Model) bool { return fmt.Sprintf("%.3f", m.Floor) == "0.399" })
		way(last)
		waittest.EventuallyHolds(t, "mended", inForce(last))
	}
	if n := len(w.kinds(notify.ConfigRejected)); n < 4 {
		t.Errorf("%d refusals were reported", n)
	}
}

// A calendar is part of the configuration: if only the calendar changes, the configuration is loaded again, and a
// missing calendar is loaded once it exists.
func TestCalendarReload(t *testing.T) {
	t.Parallel()
	w := setup(t)
	calendar := filepath.Join(w.dir, "holidays.ics")
	event := func(day string) {
		t.Helper()
		text := "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:" + day + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
		if err := os.WriteFile(calendar, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	event("20261224")
	w.when = "{accuracy_below: 10%}"
	r := w.start()
	r.first()
	policyOf := func() string {
		d, err := r.Explain(t.Context(), model, "", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return d.PolicyDigest
	}
	hours := "    quiet_hours: [{all_day: true}, {except: [holidays.ics]}]\n"
	w.write(w.config() + hours)
	before := policyOf()
	waittest.EventuallyHolds(t, "the calendar in force", func() (bool, error) { return policyOf() != before, nil })

	before = policyOf()
	event("20261225")
	waittest.EventuallyHolds(t, "another calendar in force", func() (bool, error) { return policyOf() != before, nil })

	before = policyOf()
	if err := os.Remove(calendar); err != nil {
		t.Fatal(err)
	}
	problem := func() string {
		s, err := r.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Config.Problem
	}
	waittest.EventuallyHolds(t, "the missing calendar told",
		func() (bool, error) { return strings.Contains(problem(), "there is no file "+calendar), nil })
	if policyOf() != before {
		t.Error("the rules changed without a calendar")
	}
	event("20261226")
	waittest.EventuallyHolds(t, "the calendar that came",
		func() (bool, error) { return problem() == "" && policyOf() != before, nil })
}
