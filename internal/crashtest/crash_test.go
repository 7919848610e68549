//go:build !race

package crashtest

import (
	"slices"
	"strings"
	"testing"
)

// atOnce is the number of scenarios that run at the same time. Each has five processes.
const atOnce = 2

// later lists points at which the daemon is also killed in the second or a later run, when a champion serves. The
// journal writes in the list belong to different steps.
var later = map[ending][]string{
	promoted: {
		"write:step ends#2", "written:step ends#3", "written:step ends#4", "write:step begins#5", "under way#2", "sealed#2", "written:candidate#2",
		"written:step ends#8", "written:deploy#2", "deployed#2", "recorded:release#2", "written:step ends#10", "write:run ends#2", "written:run ends#2",
		"recorded:finish#2", "written:changes#2", "write:published#3", "written:evaluation#3",
	},
	rejected: {"recorded:gate#2", "write:run ends#2", "written:run ends#2", "finished#2"},
	takenBack: {
		"written:run begins#3", "submitted#3", "begun:undo release", "rolled back", "recorded:undo release", "begun:prove", "recorded:prove",
		"write:run ends#3", "written:run ends#3", "recorded:finish#3",
	},
	rolledBack: {"deployed#2", "begun:verify#2", "recorded:verify#2", "write:run ends#2", "written:run ends#2"},
}

// again lists pairs of points: the daemon is killed at the first one, and during its recovery at the second one.
var again = [][]string{
	{"written:run begins", "launched"},
	{"submitted", "opened"},
	{"under way", "recorded:train"},
	{"written:deploy#2", "deployed"},
	{"deployed#2", "begun:release"},
	{"finished#2", "write:daemon starts"},
}

// TestCrash kills the daemon at each point that a scenario passes, restarts it, lets the scenario end, and checks the
// result.
func TestCrash(t *testing.T) {
	t.Parallel()
	stage := make(chan struct{}, atOnce)
	play := func(name string, end ending, at ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stage <- struct{}{}
			defer func() { <-stage }()
			s := newStory(t, end, at...)
			check(t, s.play())
			if s.died() != len(at) {
				t.Fatalf("the daemon was killed %d times, want once at each of %v", s.died(), at)
			}
			s.judge()
		})
	}
	var all []string
	for _, end := range []ending{promoted, rejected, rolledBack} {
		var points []string
		played := false // stays false if -run excludes this scenario
		t.Run(string(end)+"/undisturbed", func(t *testing.T) {
			s := newStory(t, end)
			check(t, s.play())
			s.judge()
			points, played = s.passed(t), true
		})
		if played && len(points) < 50 {
			t.Errorf("a scenario that ends as %s passes only %d points: %v", end, len(points), points)
		}
		for _, name := range points {
			if !slices.Contains(all, name) {
				all = append(all, name)
				play(string(end)+"/"+name, end, name)
			}
		}
		for _, name := range later[end] {
			play(string(end)+"/"+name, end, name)
		}
	}
	for _, name := range later[takenBack] { // up to these points the scenario is that of a promotion
		play(string(takenBack)+"/"+name, takenBack, name)
	}
	for _, pair := range again {
		play("twice/"+strings.Join(pair, ", "), promoted, pair...)
	}
	t.Logf("killed at %d points", len(all))
}
