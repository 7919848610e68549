package daemon

import "sync"

// heart tells the watchdog that every loop has made a round: one loop that hangs stops the beat of all.
type heart struct {
	progress func()

	mu      sync.Mutex
	waiting map[string]bool // loops that have not beaten in this round; guarded by mu
	all     []string
}

func newHeart(progress func(), loops []string) *heart {
	h := &heart{progress: progress, all: loops}
	h.reset()
	return h
}

func (h *heart) reset() {
	h.waiting = make(map[string]bool, len(h.all))
	for _, l := range h.all {
		h.waiting[l] = true
	}
}

// beat says that a loop goes round, or that its long work moves on.
func (h *heart) beat(loop string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, loop)
	if len(h.waiting) == 0 {
		h.progress()
		h.reset()
	}
}
