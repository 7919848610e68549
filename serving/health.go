package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/retraind/retraind/internal/text"
)

// HealthInfo is the service's health answer.
type HealthInfo struct {
	OK      bool   // the model is there: status 200 with a JSON object, or the Ollama server lists it
	Release string // digest of the deployed release; empty if the answer does not have it
	Runtime string // program and version that run the model, such as ollama 0.17.4; empty for an HTTP service
	// Size is a language model's memory in bytes, VRAM its part on a GPU; 0 if it is not loaded.
	Size, VRAM int64
	Raw        string // the answer's first bytes, for people
}

// Health requests the state of the service. An unreachable service, or one without a model, is an error that wraps
// ErrAsleep.
func (s *Scorer) Health(ctx context.Context) (HealthInfo, error) {
	if s.broken != nil {
		return HealthInfo{}, s.broken
	}
	if s.model != nil {
		return s.model.health(ctx)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.Health, nil)
	if err != nil {
		return HealthInfo{}, err
	}
	status, body, err := s.do(req, maxAnswer)
	if err != nil {
		return HealthInfo{}, err
	}
	info := HealthInfo{Raw: Excerpt(body)}
	if status != http.StatusOK {
		return info, statusError(text.URL(s.config.Health), status, body, "")
	}
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return info, &ServiceError{
			URL: text.URL(s.config.Health), Status: status,
			Cause: fmt.Errorf("the answer is not a JSON object: %s", info.Raw),
		}
	}
	info.OK = true
	info.Release = releaseIn(object, s.config.HealthRelease)
	return info, nil
}

// releaseIn finds the digest of a release in a service's answer.
func releaseIn(object map[string]any, path string) string {
	v, _ := lookup(object, path)
	release, _ := v.(string)
	return release
}
