package quiethours_test

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy/quiethours"
)

// long reports whether the complete test is requested instead of its fast part.
func long() bool { return os.Getenv("RETRAIND_LONG") != "" }

// embedded reads the zones that Go embeds into programs.
func embedded(t *testing.T) []*time.Location {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("Go is not here: %v", err)
	}
	file := filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip")
	archive, err := zip.OpenReader(file)
	if err != nil {
		t.Skipf("Go's zones are not here: %v", err)
	}
	defer archive.Close()
	var list []*time.Location
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		loc, err := time.LoadLocationFromTZData(f.Name, data)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		list = append(list, loc)
	}
	if len(list) < 500 {
		t.Fatalf("only %d zones found", len(list))
	}
	return list
}

// changesOf lists the clock changes of a zone in some years.
func changesOf(loc *time.Location, from, to int) (list []time.Time) {
	for at := time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC); ; {
		_, change := at.In(loc).ZoneBounds()
		if change.IsZero() || change.Year() >= to {
			return list
		}
		if !change.After(at) { // a bug of Go on the last day of a leap year
			at = at.Add(day)
			continue
		}
		_, was := change.Add(-time.Second).In(loc).Zone()
		_, is := change.In(loc).Zone()
		if was != is {
			list = append(list, change)
		}
		at = change
	}
}

// Every night with a clock change, in every zone of Go, with windows whose edges are at that time, against the local
// time of each minute. Zones with the same changes are tested once. The test covers two years, or more if `long`
// returns true.
func TestEveryZonesNights(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	from, to := 2026, 2028
	if long() {
		from, to = 2008, 2038 // before that, Go is an hour off where one place moved into another zone: Winamac, March 2007
	}
	seen, nights, places := map[string]bool{}, 0, 0
	for _, loc := range embedded(t) {
		changes := changesOf(loc, from, to)
		places++
		key := ""
		for _, c := range changes {
			_, was := c.Add(-time.Second).In(loc).Zone()
			_, is := c.In(loc).Zone()
			key += fmt.Sprint(c.Unix(), was, is, " ")
		}
		if len(changes) == 0 || seen[key] {
			continue
		}
		seen[key] = true
		for _, change := range changes {
			nights++
			o := newOracle(change.AddDate(0, 0, -4), change.AddDate(0, 0, 4), loc)
			local := change.Add(-time.Minute).In(loc)
			for _, shift := range []int{-30, 1, 31} {
				minute := (local.Hour()*60 + local.Minute() + shift + 1440) % 1440
				begin, end := unit.Clock(minute*60), unit.Clock((minute+20)%1440*60)
				list := []quiethours.WindowConfig{{From: &begin, To: &end}, {From: clock(t, "21:59"), To: &begin}}
				if *list[1].From != begin {
					compare(t, list, list, nil, o, loc)
				}
			}
		}
	}
	t.Logf("%d zones, %d kinds of them, %d nights", places, len(seen), nights)
	if nights < 60 {
		t.Errorf("only %d nights seen", nights)
	}
}

// Whole years, minute by minute: one year of five zones, or eight years of all test zones if `long` returns true.
func TestWholeYears(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	years, some := 1, zones[1:6]
	if long() {
		years, some = 8, zones
	}
	except := map[string]bool{"2027-01-01": true, "2027-03-28": true, "2027-12-24": true}
	for i, name := range some {
		loc := zone(t, name)
		list := append(night(t), quiethours.WindowConfig{
			Days: days(t, "wed"), From: clock(t, "02:15"),
			To: clock(t, "02:45"),
		})
		whole := append(list, quiethours.WindowConfig{Except: []string{"2027-01-01", "2027-03-28", "2027-12-24"}})
		from := time.Date(2026, 12, 20+i, 0, 0, 0, 0, time.UTC)
		compareOpen(t, whole, list, except, newOracle(from, from.AddDate(years, 0, 0), loc), loc)
	}
}

// compareOpen does the same as compare, except for the list of openings, whose cost grows with the span.
func compareOpen(t *testing.T, list, rules []quiethours.WindowConfig, except map[string]bool, o *oracle, loc *time.Location) {
	t.Helper()
	w, err := quiethours.NewWindows(list, loc, nil)
	if err != nil {
		t.Fatal(err)
	}
	open := o.open(rules, except)
	for i := 3 * 1440; i < len(open)-3*1440; i++ {
		at := o.start.Add(time.Duration(i) * time.Minute)
		if got := w.Contains(at); got != open[i] {
			t.Fatalf("%s in %s: open is %v, the oracle says %v (%s)", at.In(loc), loc, got, open[i], w.Describe())
		}
	}
}

// The windows of the last days of leap years, in every zone that Go embeds. On such a day ZoneBounds of Go 1.26 returns
// an end that is not later, so that a loop over it would not end.
func TestLastDaysOfLeapYears(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	list := []quiethours.WindowConfig{{From: clock(t, "22:00"), To: clock(t, "06:00")}}
	for _, loc := range embedded(t) {
		w, err := quiethours.NewWindows(list, loc, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, year := range []int{2008, 2028, 2032} {
			got := w.Openings(time.Date(year, 12, 29, 12, 0, 0, 0, loc), 4)
			for i, o := range got {
				want := time.Date(year, 12, 29+i, 22, 0, 0, 0, loc)
				if !o.Start.Equal(want) || o.Length() != 8*hour || len(o.Notes) > 0 {
					t.Errorf("%s: opens %s for %s, want %s for 8h (%v)", loc, o.Start.In(loc), o.Length(), want, o.Notes)
				}
			}
		}
	}
}
