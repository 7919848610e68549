package predict

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/retraind/retraind/serving"
)

// Requests to a language model's server are repeated if it is unreachable for minutes or fails a few times. Requests to
// a container of the candidate are not.
func TestInsist(t *testing.T) {
	t.Parallel()
	away, fault := fmt.Errorf("%w: nothing listens", serving.ErrAsleep), errors.New("it failed")
	for name, c := range map[string]struct {
		config    serving.Config
		errs      []error // results of the requests; the last one repeats
		answering bool    // each request gets some answers before it fails
		want      error
		asked     int
		within    time.Duration
	}{
		"container":      {serving.Config{}, []error{away}, false, away, 1, 0},
		"restarted":      {language, []error{fault, away, away, away, nil}, false, nil, 5, time.Minute},
		"gone":           {language, []error{away}, false, away, 25, 6 * time.Minute},
		"broken":         {language, []error{fault}, false, fault, 4, 10 * time.Second},
		"one at a time":  {language, []error{fault, fault, fault, fault, fault, fault, nil}, true, nil, 7, time.Minute},
		"answers at all": {language, []error{nil}, true, nil, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked, began := 0, time.Now()
				err := insist(t.Context(), c.config, func() (bool, error) {
					asked++
					return c.answering, c.errs[min(asked, len(c.errs))-1]
				})
				if !errors.Is(err, c.want) || asked != c.asked || time.Since(began) > c.within {
					t.Errorf("asked %d times in %v: %v", asked, time.Since(began), err)
				}
			})
		})
	}
}

var language = serving.Config{Ollama: &serving.OllamaConfig{}}
