package daemon

import "sync"

// progress feeds the watchdog each time that all loops have made progress. If one loop hangs, the watchdog is not fed.
type progress struct {
	feed func()

	mu      sync.Mutex
	waiting map[string]bool // loops without progress since the watchdog was last fed; guarded by mu
	all     []string
}

func newProgress(feed func(), loops []string) *progress {
	p := &progress{feed: feed, all: loops}
	p.reset()
	return p
}

func (p *progress) reset() {
	p.waiting = make(map[string]bool, len(p.all))
	for _, l := range p.all {
		p.waiting[l] = true
	}
}

// made records that a loop has made progress.
func (p *progress) made(loop string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, loop)
	if len(p.waiting) == 0 {
		p.feed()
		p.reset()
	}
}
