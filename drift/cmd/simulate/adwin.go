package main

import "math"

// The defaults that were published with ADWIN, and those of River's implementation where the paper has none.
const (
	adwinDelta   = 0.002
	adwinClock   = 32 // observations between two checks
	adwinBuckets = 5  // of each size, before the two oldest become one of twice the size
	adwinSide    = 5  // least observations on each side of a cut
	adwinGrace   = 10 // least observations in the window
	adwinSizes   = 40 // 2^40 observations are more than ever occur
)

// adwin is the adaptive windowing test (Bifet and Gavaldà 2007) with its published defaults. The window is kept as
// buckets of 1, 2, 4, … observations. At every 32nd observation each cut between buckets is tried: with n0 older and
// n1 newer observations, W of them together, v their variance,
//
//	D = ln(2 ln W / 0.002)    h = 1/(n0-4) + 1/(n1-4)    eps = sqrt(2 h v D) + 2/3 D h
//
// and while the two means differ by more than eps, the oldest bucket is dropped. The original alarms on any change;
// this one alarms only if the newer part has more errors.
type adwin struct {
	// sums[i][j] is the number of errors in the j-th oldest bucket of 2^i observations.
	sums  [adwinSizes][adwinBuckets + 1]int32
	count [adwinSizes]int8
	rows  int // sizes in use
	n     int // observations in the window
	errs  int
	seen  int
}

// add adds one observation and reports whether the test alarms; call it in commit order.
func (a *adwin) add(isError bool) bool {
	x := int32(0)
	if isError {
		x = 1
	}
	a.seen++
	a.n++
	a.errs += int(x)
	a.push(0, x)
	if a.seen%adwinClock != 0 || a.n <= adwinGrace {
		return false
	}
	worse := false
	for a.rows > 0 {
		cut, rose := a.cut()
		if !cut {
			break
		}
		worse = worse || rose
		a.drop()
	}
	return worse
}

// push adds a bucket of 2^row observations as the newest of its size, and merges the two oldest when there are too
// many.
func (a *adwin) push(row int, sum int32) {
	for ; row < adwinSizes; row++ {
		a.rows = max(a.rows, row+1)
		a.sums[row][a.count[row]] = sum
		a.count[row]++
		if a.count[row] <= adwinBuckets {
			return
		}
		sum = a.sums[row][0] + a.sums[row][1]
		copy(a.sums[row][:], a.sums[row][2:])
		a.count[row] -= 2
	}
}

// drop removes the oldest bucket: the first of the largest size.
func (a *adwin) drop() {
	row := a.rows - 1
	a.n -= 1 << row
	a.errs -= int(a.sums[row][0])
	copy(a.sums[row][:], a.sums[row][1:])
	a.count[row]--
	for a.rows > 0 && a.count[a.rows-1] == 0 {
		a.rows--
	}
}

// cut searches, from the oldest on, for a cut at which the two sides differ, and reports whether the newer side has
// more errors.
func (a *adwin) cut() (found, rose bool) {
	w := float64(a.n)
	mean := float64(a.errs) / w
	variance := mean * (1 - mean)
	d := math.Log(2 * math.Log(w) / adwinDelta)
	n0, errs0 := 0, 0
	for row := a.rows - 1; row >= 0; row-- {
		for j := range int(a.count[row]) {
			n0 += 1 << row
			errs0 += int(a.sums[row][j])
			n1, errs1 := a.n-n0, a.errs-errs0
			if n1 < adwinSide {
				return false, false
			}
			if n0 < adwinSide {
				continue
			}
			h := 1/float64(n0-adwinSide+1) + 1/float64(n1-adwinSide+1)
			eps := math.Sqrt(2*h*variance*d) + 2./3*d*h
			rise := float64(errs1)/float64(n1) - float64(errs0)/float64(n0)
			if math.Abs(rise) > eps {
				return true, rise > 0
			}
		}
	}
	return false, false
}
