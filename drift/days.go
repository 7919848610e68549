package drift

import "time"

// rateDays is the period over which the label rate is measured.
const rateDays = 30

// days counts held-out labels by calendar day (UTC).
type days struct {
	count       map[int64]int
	first, last int64

	// sum is the number of labels in the 30 days that end with the day in `summed`. It is cached, because each new item
	// needs it.
	summed int64
	sum    int
	known  bool
}

func dayOf(t time.Time) int64 { return t.Unix() / 86400 }

// add counts one label; a time before 1970, such as the zero time, is ignored.
func (d *days) add(at time.Time) {
	if at.IsZero() || at.Unix() <= 0 {
		return
	}
	d.set(dayOf(at), d.count[dayOf(at)]+1)
}

func (d *days) set(day int64, n int) {
	if d.count == nil {
		d.count = map[int64]int{}
		d.first, d.last = day, day
	}
	d.first, d.last = min(d.first, day), max(d.last, day)
	if day > d.summed-rateDays && day <= d.summed {
		d.sum += n - d.count[day]
	}
	d.count[day] = n
}

// recent returns the counts of the first day and of the days from which the last day's rate is computed.
func (d *days) recent() map[int64]int {
	out := map[int64]int{}
	for day, n := range d.count {
		if day > d.last-rateDays || day == d.first {
			out[day] = n
		}
	}
	return out
}

// restore replaces the counts by stored ones. The counts cannot be recomputed from the items, which have only the time
// of their last change, not that of their first label.
func (d *days) restore(stored map[int64]int) {
	*d = days{}
	for day, n := range stored {
		d.set(day, n)
	}
}

// rate returns the mean number of labels a day and the number of days that it was measured over: the last 30, or fewer
// if the first day is more recent. The first day is left out, because its count includes the labels that existed before
// counting began. If `over` is 0, the rate is unknown.
func (d *days) rate(today int64) (perDay float64, over int) {
	if d.count == nil || today <= d.first {
		return 0, 0
	}
	if !d.known || d.summed != today {
		d.summed, d.sum, d.known = today, 0, true
		for day := today - rateDays + 1; day <= today; day++ {
			d.sum += d.count[day]
		}
	}
	sum, over := d.sum, rateDays
	if since := today - d.first; since < rateDays {
		sum, over = sum-d.count[d.first], int(since)
	}
	return float64(sum) / float64(over), over
}

// carefulDays is how many days the rate must be measured over before the bounds of the tests use it alone. Until then
// they also use the count of the first day: the second day is still incomplete, and a bound that is too low would
// break the promised rate of false alarms.
const carefulDays = 2

// careful returns the number of labels a day from which the bounds are computed.
func (d *days) careful(today int64) float64 {
	perDay, over := d.rate(today)
	if over < carefulDays && d.count != nil && today >= d.first {
		return max(perDay, float64(d.count[d.first]))
	}
	return perDay
}
