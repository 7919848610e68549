package webhook

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/watch"
)

// TestUpAgainWithoutAnotherRequest: after a fault of the store the source does not stay down until the next request,
// which may never arrive.
func TestUpAgainWithoutAnotherRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = p.src.Run(ctx) }()
		synctest.Wait()
		p.inbox.SetFail(&watch.Fault{Cause: "the disk is full", Store: true})
		p.answers(503, "send them again", watchtest.Line(1, "a"))
		time.Sleep(time.Second)
		if h := p.src.Health(); h.Up || h.Error != "the disk is full" {
			t.Errorf("after a fault: %+v", h)
		}
		p.inbox.SetFail(nil)
		time.Sleep(time.Minute)
		if h := p.src.Health(); !h.Up || h.Error != "" {
			t.Errorf("a minute later: %+v", h)
		}
	})
}
