package serving

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/retraind/retraind/internal/text"
)

// maxBatchAnswer limits how many bytes of the answer to a batch are read.
const maxBatchAnswer = 64 << 20

// classifyBatch sends several texts in one request. An unusable answer fails only its item. A missing answer fails the
// whole request, since it is unknown which item has no answer.
func (s *Scorer) classifyBatch(ctx context.Context, part []Text) []reply {
	start := time.Now()
	items := make([]map[string]string, len(part))
	for i, one := range part {
		items[i] = s.renamed(one.Fields)
	}
	body := encode(map[string]any{"items": items})
	out := make([]reply, len(part))
	about := fmt.Sprintf("%d texts from item %s on", len(part), part[0].Item)
	err := s.post(ctx, s.config.Batch.URL, body, about, maxBatchAnswer, func(body []byte) error {
		var answer struct {
			Results []map[string]any `json:"results"`
		}
		if err := decodeWhole(body, &answer); errors.Is(err, errTrailing) {
			return fmt.Errorf("%w: %s", err, Excerpt(body))
		} else if err != nil {
			return fmt.Errorf("the answer is not a JSON object with a list of results: %s", Excerpt(body))
		}
		if len(answer.Results) != len(part) {
			return fmt.Errorf("the answer has %s, but the request has %s",
				text.Plural(len(answer.Results), "result"), text.Plural(len(part), "item"))
		}
		for i, object := range answer.Results {
			a, err := s.read(object)
			if err != nil {
				err = &ServiceError{URL: text.URL(s.config.Batch.URL), About: "item " + part[i].Item, Cause: err}
			}
			out[i] = reply{a, err}
		}
		return nil
	})
	took := time.Since(start)
	for i := range out {
		out[i].Took = took
		if err != nil {
			out[i].err = err
		}
	}
	return out
}
