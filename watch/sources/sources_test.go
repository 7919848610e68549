package sources

import "testing"

func TestNoSource(t *testing.T) {
	t.Parallel()
	if found := (&Config{}).Validate(); len(found) != 1 || found[0].Message != "no source of labels" {
		t.Errorf("%v", found)
	}
}
