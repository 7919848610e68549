package compose

import (
	"context"
	"time"
)

// outagePoll is the pause between two requests while the container is replaced.
const outagePoll = 20 * time.Millisecond

// outage measures how long the service did not answer.
type outage struct {
	stop context.CancelFunc
	done chan time.Duration
}

// watchOutage requests a health URL repeatedly until end is called. The outage lasts from the first failed request to
// the first answer after the last failed one.
func watchOutage(ctx context.Context, url string) outage {
	ctx, stop := context.WithCancel(ctx)
	o := outage{stop: stop, done: make(chan time.Duration, 1)}
	go func() {
		var began, ended time.Time
		defer func() {
			if began.IsZero() {
				o.done <- 0
				return
			}
			o.done <- ended.Sub(began)
		}()
		if url == "" {
			return
		}
		tick := time.NewTicker(outagePoll)
		defer tick.Stop()
		down := false
		for {
			asked := time.Now()
			err := get(ctx, url)
			switch {
			case ctx.Err() != nil:
				if down {
					ended = time.Now()
				}
				return
			case err != nil && began.IsZero():
				began, down = asked, true
			case err != nil:
				down = true
			case down:
				ended, down = time.Now(), false
			}
			select {
			case <-ctx.Done():
				if down {
					ended = time.Now()
				}
				return
			case <-tick.C:
			}
		}
	}()
	return o
}

// end stops the requests and returns the outage.
func (o outage) end() time.Duration {
	o.stop()
	return <-o.done
}
