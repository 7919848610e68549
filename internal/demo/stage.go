package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
)

// stage shows the scenario: as a screen that is redrawn on a terminal, and as plain lines elsewhere.
type stage struct {
	out   io.Writer // nil shows nothing
	live  bool
	world *world
	start time.Time

	mu     sync.Mutex // guards the fields below
	act    string
	what   string
	lines  []line
	waits  string // the last reported reason why an armed retrain waits
	model  *status.Model
	series []status.Point
	drawn  int // lines of the last picture
	stop   context.CancelFunc
	done   chan struct{}
}

// line is one event as shown.
type line struct {
	at   time.Time
	kind string
	text string
}

const redrawEvery = 150 * time.Millisecond

func newStage(o Options, w *world, start time.Time) *stage {
	return &stage{out: o.Out, live: o.Live && o.Out != nil, world: w, start: start}
}

// scene begins a part of the scenario.
func (s *stage) scene(act, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.act, s.what = act, what
	if s.live || s.out == nil {
		return
	}
	text := strings.ToUpper(act[:1]) + act[1:]
	if what != "" {
		text += ": " + what
	}
	s.plain("", text)
}

// note adds a remark.
func (s *stage) note(text string) { s.say("", text) }

// told shows an event; the subscriber calls it.
func (s *stage) told(e notify.Event) {
	text := headline(e)
	s.mu.Lock()
	again := e.Kind == notify.RunScheduled && text == s.waits // the same reason with newer labels
	if e.Kind == notify.RunScheduled {
		s.waits = text
	}
	s.mu.Unlock()
	if text != "" && !again {
		s.say(string(e.Kind), text)
	}
}

func (s *stage) say(kind, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line{time.Now(), kind, text})
	if !s.live && s.out != nil {
		s.plain(kind, text)
	}
}

// plain writes one line for a log.
func (s *stage) plain(kind, text string) {
	if kind == "" {
		fmt.Fprintf(s.out, "%5.1fs  %s\n", time.Since(s.start).Seconds(), text)
		return
	}
	fmt.Fprintf(s.out, "%5.1fs  %-18s %s\n", time.Since(s.start).Seconds(), kind, text)
}

// follow starts the goroutine that redraws the screen. It is called when the daemon can be queried.
func (s *stage) follow(ctx context.Context) {
	if !s.live {
		return
	}
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		tick := time.NewTicker(redrawEvery)
		defer tick.Stop()
		for {
			s.refresh(ctx)
			s.draw()
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
}

// refresh queries the daemon. While the daemon does not answer, the last picture stays.
func (s *stage) refresh(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	snap, err := s.world.client.Snapshot(ctx)
	if err != nil || len(snap.Models) != 1 {
		return
	}
	series, err := s.world.client.History(ctx, modelName, s.start)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.model, s.series = &snap.Models[0], series
}

// close stops drawing and leaves the last picture.
func (s *stage) close() {
	if s.stop == nil {
		return
	}
	s.stop()
	<-s.done
	s.stop = nil
	s.draw()
}

func (s *stage) draw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	picture := s.picture()
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	rows := strings.Split(strings.TrimRight(picture, "\n"), "\n")
	for _, row := range rows {
		b.WriteString(row + "\x1b[K\n") // no flicker: lines are overwritten, not cleared first
	}
	b.WriteString("\x1b[J")
	s.drawn = len(rows)
	_, _ = lipgloss.Fprint(s.out, b.String())
}
