package policy

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// sentences gathers all texts of a decision in one piece of memory, of which each text is a part: to allocate them one by
// one takes longer than to decide. One that is nil says nothing.
type sentences struct {
	all  strings.Builder
	from int // of the text that is being said
}

// sentenceLength is room for a usual text. It is a guess that only saves growing.
const sentenceLength = 72

// text is what was said since the text before.
func (s *sentences) text() string {
	from := s.from
	s.from = s.all.Len()
	return s.all.String()[from:]
}

func (s *sentences) say(parts ...string) *sentences {
	for _, part := range parts {
		s.all.WriteString(part)
	}
	return s
}

func (s *sentences) count(n int) *sentences {
	var room [pieceLength]byte
	s.all.Write(strconv.AppendInt(room[:0], int64(n), 10))
	return s
}

func (s *sentences) plural(n int, what string) *sentences {
	return s.count(n).say(" ", what, than(n == 1, "", "s"))
}

func (s *sentences) share(f float64) *sentences {
	var room [pieceLength]byte
	s.all.Write(appendShare(room[:0], f))
	return s
}

func (s *sentences) points(f float64) *sentences {
	var room [pieceLength]byte
	s.all.Write(appendPoints(room[:0], f))
	return s
}

func (s *sentences) number(f float64, digits int) *sentences {
	var room [pieceLength]byte
	s.all.Write(strconv.AppendFloat(room[:0], f, 'f', digits, 64))
	return s
}

func (s *sentences) span(d time.Duration) *sentences {
	var room [pieceLength]byte
	s.all.Write(appendSpan(room[:0], d))
	return s
}

// local says an instant in a zone, with the date where it is another day than now.
func (s *sentences) local(t, now time.Time, loc *time.Location) *sentences {
	var room [pieceLength]byte
	s.all.Write(appendLocal(room[:0], t, now, loc))
	return s
}

// change says where a figure went since the promotion; drop is positive for a fall.
func (s *sentences) change(what string, drop float64) *sentences {
	switch {
	case math.Round(drop*10) == 0:
		return s.say(what, " is as at the promotion")
	case drop < 0:
		return s.say(what, " rose by ").points(-drop)
	default:
		return s.say(what, " fell by ").points(drop)
	}
}
