package compose

import (
	"context"
	"time"
)

// outagePoll is how often the service is asked while its container is exchanged.
const outagePoll = 20 * time.Millisecond

// outage is for how long nobody was served.
type outage struct {
	stop context.CancelFunc
	done chan time.Duration
}

// watchOutage asks a health URL again and again until the end. From the first question without an answer to the first
// answer after the last such question is the outage.
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

// end ends the watching and returns the outage.
func (o outage) end() time.Duration {
	o.stop()
	return <-o.done
}
