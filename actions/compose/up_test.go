package compose

import (
	"testing"
	"time"

	"github.com/retraind/retraind/actions/docker"
)

// A container that a killed `up` of compose version 2 has created but never started is removed before the next `up`,
// since both would get the same name.
func TestUnfinishedExchange(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	left := p.container("c1")
	left.Name, left.State, left.Started = "0123_shop_api_1", "created", time.Time{}
	left.Labels[docker.LabelReplace] = "shop_api_1"
	p.engine.Put(left)
	d := p.ok("deploy")
	p.serves(d.Container, "new")
	if _, there := p.engine.Get("c1"); there {
		t.Error("it is still there")
	}

	// Now `up` was killed after it had removed the old container, and before it started the new one: the next attempt
	// starts it.
	now, _ := p.engine.Get(d.Container)
	now.State, now.Started = "created", time.Time{}
	now.Labels[docker.LabelReplace] = "shop_api_1"
	p.engine.Put(now)
	again := p.ok("deploy")
	p.serves(again.Container, "new")
}
