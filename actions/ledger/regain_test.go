package ledger

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	results[0].Ending = LeftAlone // a person has started or removed it
	if got := withoutGPU(results, nil); !slices.Equal(got, []int{3}) {
		t.Errorf("left alone: %v", got)
	}
}

// inventory is a gpu.Inventory that calls a function.
type inventory func() ([]gpu.Device, error)

func (f inventory) Devices(context.Context) ([]gpu.Device, error) { return f() }

// CheckGPU gives restored containers some time to use GPU memory again, and then names those that do not. It queries
// the driver only if a container used GPU memory before.
func TestCheckGPU(t *testing.T) {
	t.Parallel()
	card := []gpu.Device{{UUID: "GPU-1", Processes: []gpu.Process{{PID: 7, Holder: gpu.Holder{Container: "backend"}}}}}
	for _, c := range []struct {
		name   string
		onGPU  bool
		answer func(after time.Duration) ([]gpu.Device, error)
		took   time.Duration
		want   string
	}{
		{"never had it", false, nil, 0, ""},
		{"has it at once", true, func(time.Duration) ([]gpu.Device, error) { return card, nil }, 0, ""},
		{"has it later", true, func(after time.Duration) ([]gpu.Device, error) {
			if after < 3*time.Second {
				return nil, nil
			}
			return card, nil
		}, 3 * time.Second, ""},
		{
			"does not get it", true, func(time.Duration) ([]gpu.Device, error) { return nil, nil }, regainIn,
			"it used GPU memory before and uses none yet",
		},
		{
			"is not seen", true, func(time.Duration) ([]gpu.Device, error) { return nil, errors.New("driver hangs") }, regainIn,
			"it is unknown whether it uses the GPU again: driver hangs",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			results := []Result{{Ending: Restored, Detail: "it runs again", Entry: Entry{Thing: Thing{
				Kind: KindContainer, Container: &Container{ID: "backend", OnGPU: c.onGPU},
			}}}}
			start := time.Now()
			without := CheckGPU(t.Context(), inventory(func() ([]gpu.Device, error) { return c.answer(time.Since(start)) }), results)
			if took := time.Since(start); took != c.took {
				t.Errorf("%s: took %s, want %s", c.name, took, c.took)
			}
			if (c.want != "") != (len(without) == 1) || !strings.Contains(results[0].Detail, c.want) ||
				c.want == "" && results[0].Detail != "it runs again" {
				t.Errorf("%s: %+v, %s", c.name, without, results[0].Detail)
			}
		})
	}
}
