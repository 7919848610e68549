package postgres

import "testing"

// A transaction is visible in the combined snapshot if it is visible in both.
func TestSnapshotOfBoth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want string }{
		{"10:10:", "10:10:", "10:10:"},
		{"10:20:10,12", "8:15:8,9", "8:15:8,9,10,12"},
		{"10:20:10,12,17", "15:15:", "10:15:10,12"},
		{"95:200:95,105", "100:180:100,105", "95:180:95,100,105"},
	} {
		a, err := parseSnapshot(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseSnapshot(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if got, back := a.both(b).String(), b.both(a).String(); got != c.want || back != c.want {
			t.Errorf("%s and %s: %s and %s, want %s", c.a, c.b, got, back, c.want)
		}
	}
}
