package watch

import (
	"testing"
	"testing/synctest"
	"time"
)

// drained reports whether the coalescer has fired since the last call.
func drained(c *Coalescer) bool {
	synctest.Wait()
	select {
	case <-c.C():
		return true
	default:
		return false
	}
}

func TestCoalescerFoldsABurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCoalescer(5*time.Second, time.Minute, 0)
		defer c.Stop()
		for range 1000 {
			c.Poke(1)
		}
		<-time.After(5*time.Second - time.Nanosecond)
		if drained(c) {
			t.Fatal("fired before wait was over")
		}
		<-time.After(time.Nanosecond)
		if !drained(c) {
			t.Fatal("did not fire after wait")
		}
		<-time.After(time.Hour)
		if drained(c) {
			t.Fatal("fired twice for one burst")
		}
	})
}

func TestCoalescerIsNotStarved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCoalescer(5*time.Second, time.Minute, 0)
		defer c.Stop()
		start, fired := time.Now(), []time.Duration(nil)
		for time.Since(start) < 3*time.Minute {
			c.Poke(1)
			<-time.After(time.Second)
			if drained(c) {
				fired = append(fired, time.Since(start))
			}
		}
		want := []time.Duration{60 * time.Second, 120 * time.Second, 180 * time.Second}
		if len(fired) < 2 || len(fired) > 3 {
			t.Fatalf("a steady trickle fired at %v, want about %v", fired, want)
		}
		for i := range fired {
			if d := fired[i] - want[i]; d < 0 || d > 2*time.Second {
				t.Errorf("firing %d at %v, want about %v", i, fired[i], want[i])
			}
		}
	})
}

func TestCoalescerMaxEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewCoalescer(time.Hour, 0, 100)
		defer c.Stop()
		c.Poke(99)
		if drained(c) {
			t.Fatal("fired before maxEvents")
		}
		c.Poke(1)
		if !drained(c) {
			t.Fatal("did not fire at maxEvents")
		}
		<-time.After(2 * time.Hour)
		if drained(c) {
			t.Fatal("the overtaken timer fired")
		}
		c.Poke(1)
		<-time.After(time.Hour)
		if !drained(c) {
			t.Fatal("did not start again")
		}
	})
}

func TestCoalescerEdges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := NewCoalescer(0, 0, 0)
		at.Poke(0)
		if drained(at) {
			t.Error("fired for no event")
		}
		at.Poke(1)
		if !drained(at) {
			t.Error("without wait it did not fire at once")
		}
		stopped := NewCoalescer(time.Second, 0, 0)
		stopped.Poke(1)
		stopped.Stop()
		stopped.Poke(1)
		<-time.After(time.Minute)
		if drained(stopped) {
			t.Error("fired after Stop")
		}
	})
}
