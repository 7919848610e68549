package ledger

import (
	"slices"
	"testing"

	"github.com/retraind/retraind/gpu"
)

func TestContainersThatLostTheGPU(t *testing.T) {
	t.Parallel()
	thing := func(id string) Thing {
		return Thing{Kind: KindContainer, Container: &Container{ID: id}}
	}
	card := func(ids ...string) []gpu.Device {
		d := gpu.Device{UUID: "GPU-1"}
		for i, id := range ids {
			d.Processes = append(d.Processes, gpu.Process{PID: 7 + i, Holder: gpu.Holder{Container: id}})
		}
		return []gpu.Device{d}
	}
	things := []Thing{
		thing("backend"), thing("cpu"), {Kind: KindUnit, Unit: &Unit{Name: "x.service"}}, thing("tagger"),
	}
	MarkOnGPU(things, card("backend", "tagger", "stranger"))
	results := make([]Result, len(things))
	for i := range things {
		results[i] = Result{Entry: Entry{Thing: things[i]}, Ending: Restored}
	}
	dead := card("backend", "tagger")
	dead[0].Processes[0].Gone = true
	for _, c := range []struct {
		name string
		now  []gpu.Device
		want []int
	}{
		{"all have it again", card("tagger", "backend"), nil},
		{"one has it", card("tagger"), []int{0}},
		{"none has it", nil, []int{0, 3}},
		{"a process that is gone", dead, []int{0}},
	} {
		if got := withoutGPU(results, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	results[0].Ending = LeftAlone // a person decided about it
	if got := withoutGPU(results, nil); !slices.Equal(got, []int{3}) {
		t.Errorf("left alone: %v", got)
	}
}
