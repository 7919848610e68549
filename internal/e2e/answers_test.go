//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
)

// answers returns an error if the service does not answer a request to classify a text.
func (o *operator) answers() error {
	url := fmt.Sprintf("http://127.0.0.1:%d/classify", o.port)
	resp, err := http.Post(url, "application/json", strings.NewReader(`{"title": "bahn", "content": "stau"}`))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
