package quiethours_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/policy/quiethours"
)

var zones = []string{
	"UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "America/New_York", "America/St_Johns",
	"America/Havana",
	"America/Santiago", "America/Asuncion", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Beirut", "Asia/Tehran", "Africa/Cairo",
	"Africa/Casablanca",
	"Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia", "Pacific/Auckland",
}

// oracle is a simple model that uses only the local time of each minute. A window opens at the first minute whose local
// date and time are at least `from` on its day, and closes at the first minute at which they are at least `to`.
type oracle struct {
	start time.Time
	wall  []int64 // minutes of the local calendar since 1970, for each minute since start
}

func newOracle(from, to time.Time, loc *time.Location) *oracle {
	o := &oracle{start: from.Truncate(time.Minute)}
	for t := o.start; t.Before(to); t = t.Add(time.Minute) {
		_, offset := t.In(loc).Zone()
		o.wall = append(o.wall, (t.Unix()+int64(offset))/60)
	}
	return o
}

// first returns the index of the first minute whose local time is at least the given minute.
func (o *oracle) first(wall int64) int {
	// No clock change is as long as two days: all minutes before that have an earlier local time.
	for i := max(0, int(wall-o.wall[0])-2880); i < len(o.wall); i++ {
		if o.wall[i] >= wall {
			return i
		}
	}
	return len(o.wall)
}

// open marks the minutes in which a run may start.
func (o *oracle) open(list []quiethours.WindowConfig, except map[string]bool) []bool {
	open := make([]bool, len(o.wall))
	have := map[int64]bool{}
	for _, w := range o.wall {
		have[w/1440] = true
	}
	for d := o.wall[0]/1440 - 1; d <= o.wall[len(o.wall)-1]/1440+1; d++ {
		date := time.Unix(d*86400, 0).UTC()
		if !have[d] || except[date.Format(time.DateOnly)] {
			continue
		}
		for _, q := range list {
			if !q.Days.Has(date.Weekday()) {
				continue
			}
			from, to := int64(0), int64(1440)
			if !q.AllDay {
				from, to = int64(*q.From)/60, int64(*q.To)/60
				if to <= from {
					to += 1440
				}
			}
			a, b := o.first(d*1440+from), o.first(d*1440+to)
			if a == b {
				b = a + int(to-from) // completely inside a jump of the clock: it keeps its length
			}
			for i := a; i < min(b, len(open)); i++ {
				open[i] = true
			}
		}
	}
	return open
}

// compare checks the windows of `list` against the oracle in each minute of the span. `rules` are the entries of `list`
// that open something. The first and last days are left out, because the oracle lacks the minutes beyond the span.
func compare(t interface{ Fatalf(string, ...any) }, list, rules []quiethours.WindowConfig, except map[string]bool,
	o *oracle, loc *time.Location,
) {
	w, err := quiethours.NewWindows(list, loc, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	open := o.open(rules, except)
	edge := 3 * 1440
	var edges []time.Time // minutes at which the oracle opens or closes, without the first and last days
	for i := edge; i < len(open)-edge; i++ {
		at := o.start.Add(time.Duration(i) * time.Minute)
		if got := w.Contains(at); got != open[i] {
			t.Fatalf("%s in %s: open is %v, the oracle says %v (%s)", at.In(loc), loc, got, open[i], w.Describe())
		}
		if open[i] != open[i-1] {
			edges = append(edges, at)
		}
	}
	// Next and Current agree with Contains.
	at := o.start.Add(time.Duration(edge)*time.Minute - time.Minute)
	last := o.start.Add(time.Duration(len(open)-edge) * time.Minute)
	var told []time.Time
	if current, ok := w.Current(at); ok && current.End.Before(last) {
		told = append(told, current.End)
	}
	for _, i := range w.Next(at, 50) {
		for _, e := range []time.Time{i.Start, i.End} {
			if e.Before(last) {
				told = append(told, e)
			}
		}
	}
	if diff := cmp.Diff(edges, told, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Fatalf("%s: openings of %s differ from the oracle's (-want +got):\n%s", loc, w.Describe(), diff)
	}
}

func TestWindowsAgainstOracle(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		from := time.Date(rapid.IntRange(2008, 2032).Draw(t, "year"), 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0,
			rapid.IntRange(0, 364).Draw(t, "day"))
		if rapid.Bool().Draw(t, "at a change") { // most of the year has no clock change
			if _, change := from.In(loc).ZoneBounds(); !change.IsZero() {
				from = change.UTC().Truncate(day).AddDate(0, 0, -rapid.IntRange(4, 8).Draw(t, "before"))
			}
		}
		var list []quiethours.WindowConfig
		except := map[string]bool{}
		for range rapid.IntRange(1, 3).Draw(t, "entries") {
			q := quiethours.WindowConfig{Days: quiethours.Days(rapid.IntRange(0, 127).Draw(t, "days"))}
			if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
				q.AllDay = true
			} else {
				// Clocks change at night, so half of the window edges are there.
				minute := rapid.OneOf(rapid.IntRange(0, 1439), rapid.IntRange(0, 239))
				a, b := minute.Draw(t, "from"), minute.Draw(t, "to")
				if a == b {
					b = (b + 1) % 1440
				}
				f, to := unit.Clock(a*60), unit.Clock(b*60)
				q.From, q.To = &f, &to
			}
			list = append(list, q)
		}
		if rapid.Bool().Draw(t, "exception") {
			name := from.AddDate(0, 0, rapid.IntRange(3, 10).Draw(t, "except")).Format(time.DateOnly)
			list, except[name] = append(list, quiethours.WindowConfig{Except: []string{name}}), true
		}
		var rules []quiethours.WindowConfig
		for _, q := range list {
			if len(q.Except) == 0 {
				rules = append(rules, q)
			}
		}
		compare(t, list, rules, except, newOracle(from, from.AddDate(0, 0, 14), loc), loc)
	})
}

// Every clock change in every zone over three years, with windows whose edges are at that time.
func TestEveryClockChange(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	changes := 0
	for _, name := range zones {
		loc := zone(t, name)
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for {
			_, change := at.In(loc).ZoneBounds()
			if change.IsZero() || change.Year() > 2028 {
				break
			}
			at = change
			changes++
			o := newOracle(change.AddDate(0, 0, -4), change.AddDate(0, 0, 4), loc)
			local := change.Add(-time.Minute).In(loc) // the last minute before the change
			for _, shift := range []int{-90, -30, 1, 31, 61} {
				minute := (local.Hour()*60 + local.Minute() + shift + 1440) % 1440
				from, to := unit.Clock(minute*60), unit.Clock((minute+20)%1440*60)
				list := []quiethours.WindowConfig{{From: &from, To: &to}, {From: clock(t, "22:00"), To: &from}}
				if *list[1].From == from {
					continue
				}
				compare(t, list, list, nil, o, loc)
			}
		}
	}
	if changes < 60 {
		t.Errorf("only %d changes of the clocks seen", changes)
	}
}

// The two nights of a year in which the clocks change in Berlin.
func TestBerlinNights(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	for _, c := range []struct {
		name, from, to, night string
		start, end            string // in UTC
	}{
		{"spring night is an hour shorter", "22:00", "06:00", "2027-03-27", "2027-03-27T21:00:00Z", "2027-03-28T04:00:00Z"},
		{"autumn night is an hour longer", "22:00", "06:00", "2027-10-30", "2027-10-30T20:00:00Z", "2027-10-31T05:00:00Z"},
		{
			"02:30 does not exist: it opens when the clock jumps", "02:30", "05:00", "2027-03-28", "2027-03-28T01:00:00Z",
			"2027-03-28T03:00:00Z",
		},
		{"closes when the clock jumps", "01:30", "02:30", "2027-03-28", "2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z"},
		{
			"wholly in the jump: keeps its length", "02:15", "02:45", "2027-03-28", "2027-03-28T01:00:00Z",
			"2027-03-28T01:30:00Z",
		},
		{
			"02:30 comes twice: it opens the first time", "02:30", "05:00", "2027-10-31", "2027-10-31T00:30:00Z",
			"2027-10-31T04:00:00Z",
		},
		{"closes the first time", "22:00", "02:30", "2027-10-30", "2027-10-30T20:00:00Z", "2027-10-31T00:30:00Z"},
		{"inside the doubled hour: once", "02:15", "02:45", "2027-10-31", "2027-10-31T00:15:00Z", "2027-10-31T00:45:00Z"},
		{"seconds count", "22:00:15", "22:00:45", "2027-06-01", "2027-06-01T20:00:15Z", "2027-06-01T20:00:45Z"},
	} {
		start, err := time.Parse(time.DateOnly, c.night)
		if err != nil {
			t.Fatal(err)
		}
		w, err := quiethours.NewWindows([]quiethours.WindowConfig{{From: clock(t, c.from), To: clock(t, c.to)}}, loc, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := w.Next(time.Date(start.Year(), start.Month(), start.Day(), 0, 0, 0, 0, loc), 1)
		if len(got) != 1 || got[0].Start.UTC().Format(time.RFC3339) != c.start ||
			got[0].End.UTC().Format(time.RFC3339) != c.end {
			t.Errorf("%s: %v, want %s to %s", c.name, got, c.start, c.end)
			continue
		}
		if !w.Contains(got[0].Start) || w.Contains(got[0].Start.Add(-time.Second)) || w.Contains(got[0].End) ||
			!w.Contains(got[0].End.Add(-time.Second)) {
			t.Errorf("%s: the edges are not start included, end not", c.name)
		}
	}
}

// A window belongs to the day on which it starts: Friday's night extends into Saturday, Saturday has none.
func TestWindowBelongsToItsFirstDay(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	w, err := quiethours.NewWindows([]quiethours.WindowConfig{{
		Days: days(t, "fri"), From: clock(t, "22:00"),
		To: clock(t, "06:00"),
	}, {Except: []string{"2026-11-27"}}}, loc, nil)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"2026-11-20 21:59": false, "2026-11-20 22:00": true, "2026-11-21 05:59": true, "2026-11-21 06:00": false,
		"2026-11-21 23:00": false,
		"2026-11-20 03:00": false, "2026-11-27 23:00": false, "2026-11-28 03:00": false, "2026-12-04 23:00": true,
	} {
		when, err := time.ParseInLocation("2006-01-02 15:04", at, loc)
		if err != nil {
			t.Fatal(err)
		}
		if w.Contains(when) != want {
			t.Errorf("%s: %v, want %v", at, !want, want)
		}
	}
}

func TestTouchingWindowsAreOne(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	w, err := quiethours.NewWindows(night(t), loc, nil)
	if err != nil {
		t.Fatal(err)
	}
	weekend, ok := w.Current(time.Date(2026, 11, 21, 12, 0, 0, 0, loc))
	want := quiethours.Interval{
		Start: time.Date(2026, 11, 20, 22, 0, 0, 0, loc),
		End:   time.Date(2026, 11, 23, 0, 0, 0, 0, loc),
	}
	if !ok || !weekend.Start.Equal(want.Start) || !weekend.End.Equal(want.End) {
		t.Errorf("weekend is %v, want %v", weekend, want)
	}
	if weekend.Length() != 50*hour {
		t.Errorf("it lasts %v", weekend.Length())
	}
}

func TestAlwaysAndNever(t *testing.T) {
	t.Parallel()
	always, err := quiethours.NewWindows(nil, time.UTC, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !always.Contains(noon(t)) || !always.Always() || always.Next(noon(t), 3) != nil {
		t.Error("no quiet hours must mean always open")
	}
	if i, ok := always.Current(noon(t)); !ok || !i.Fits(noon(t), 1000*hour) {
		t.Error("no quiet hours must fit everything")
	}
	everyDay, err := quiethours.NewWindows([]quiethours.WindowConfig{{AllDay: true}}, time.UTC, nil)
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := everyDay.Current(noon(t)); !ok || i.Length() < 14*day || len(everyDay.Next(noon(t), 2)) != 0 {
		t.Errorf("all day every day: %v, next %v", i, everyDay.Next(noon(t), 2))
	}
	but, err := quiethours.NewWindows([]quiethours.WindowConfig{{Except: []string{"2026-11-19"}}}, time.UTC, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !but.Contains(noon(t)) || but.Contains(noon(t).Add(day)) || !but.Contains(noon(t).Add(2*day)) {
		t.Error("an exception alone must mean every day but this one")
	}
}

func TestConcurrentReaders(t *testing.T) {
	t.Parallel()
	w, err := quiethours.NewWindows(night(t), zone(t, "Europe/Berlin"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]bool, 400)
	for i := range want {
		want[i] = w.Contains(noon(t).Add(time.Duration(i) * 7 * hour))
	}
	done := make(chan []bool)
	for range 4 {
		go func() {
			got := make([]bool, len(want))
			for i := range got {
				got[i] = w.Contains(noon(t).Add(time.Duration(i) * 7 * hour))
			}
			done <- got
		}()
	}
	for range 4 {
		if got := <-done; !slices.Equal(got, want) {
			t.Error("readers disagree")
		}
	}
}

// Quiet hours that are open for weeks have their real start and end, not those of the days that were searched.
func TestLongOpening(t *testing.T) {
	t.Parallel()
	loc := zone(t, "Europe/Berlin")
	w, err := quiethours.NewWindows([]quiethours.WindowConfig{{Except: []string{"2026-05-01", "2027-01-01"}}}, loc, nil)
	if err != nil {
		t.Fatal(err)
	}
	start, end := time.Date(2026, 5, 2, 0, 0, 0, 0, loc), time.Date(2027, 1, 1, 0, 0, 0, 0, loc)
	for at := start; at.Before(end); at = at.AddDate(0, 0, 10) {
		got, open := w.Current(at)
		shown := w.Openings(at, 1)[0]
		if !open || !got.Start.Equal(start) || !got.End.Equal(end) || !shown.Start.Equal(start) || !shown.End.Equal(end) {
			t.Fatalf("at %s: open %v, from %s to %s", at, open, got.Start, got.End)
		}
	}
	next, ok := w.NextOpening(time.Date(2026, 5, 1, 12, 0, 0, 0, loc))
	if !ok || !next.Start.Equal(start) || !next.End.Equal(end) {
		t.Errorf("next: %v, %v", next, ok)
	}
}
