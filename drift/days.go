package drift

import "time"

// rateDays is the period over which the label rate is measured.
const rateDays = 30

// days counts held-out labels by calendar day (UTC).
type days struct {
	count       map[int64]int
	first, last int64

	// sum is the number of labels in the 30 days up to the day summed; cached, because each new item needs it.
	summed int64
	sum    int
	known  bool
}

func dayOf(t time.Time) int64 { return t.Unix() / 86400 }

// add counts one label; a zero time is ignored.
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

// recent returns the counts that the rate of the last day needs, and the first day.
func (d *days) recent() map[int64]int {
	out := map[int64]int{}
	for day, n := range d.count {
		if day > d.last-rateDays || day == d.first {
			out[day] = n
		}
	}
	return out
}

// restore replaces the counts by stored ones. The items' own times do not suffice: they are of their last change,
// not of their first label.
func (d *days) restore(stored map[int64]int) {
	*d = days{}
	for day, n := range stored {
		d.set(day, n)
	}
}

// rate returns labels a day over the last 30 days, or over the days since the first one if that is shorter. The
// first day is left out: it has the labels that existed before counting began. Over 0 days the rate is unknown.
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

// carefulDays is for how long the labels of the first day count in the bounds of the tests: the following day is
// incomplete, and a bound that is too low would break the promised rate of false alarms.
const carefulDays = 2

// careful is the rate used for the bounds.
func (d *days) careful(today int64) float64 {
	perDay, over := d.rate(today)
	if over < carefulDays && d.count != nil && today >= d.first {
		return max(perDay, float64(d.count[d.first]))
	}
	return perDay
}
