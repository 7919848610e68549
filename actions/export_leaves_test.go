package actions

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/retraind/retraind/drift"
)

// TestLeavesInAnyOrder takes more of them than memory holds at a time: the root is that of the sorted tree, and nothing
// stays in the directory.
func TestLeavesInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3, leafRun, leafRun + 1, 3*leafRun + 7} {
		dir := t.TempDir()
		var want drift.Merkle
		inOrder := make([]leaf, n)
		for i := range inOrder {
			id := fmt.Sprintf("%07d", i/2) // two of each
			inOrder[i] = leaf{id, drift.Leaf(id, "hash", nil)}
			want.Add(inOrder[i].hash)
		}
		l := leaves{dir: dir}
		for _, i := range rand.New(rand.NewPCG(1, uint64(n))).Perm(n) { //nolint:gosec // an order
			if err := l.add(inOrder[i].id, inOrder[i].hash); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := l.root(); err != nil || got != want.Root() {
			t.Errorf("%d leaves: %s, %v, want %s", n, got, err, want.Root())
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}
}
