package demo

import (
	"testing"
	"time"
)

// The screen is drawn while the clients start.
func TestPictureWhileClientsStart(t *testing.T) {
	t.Parallel()
	w := &world{address: "127.0.0.1:1", story: story{items: []Item{{ID: "1"}}}}
	st := newStage(Options{}, w, time.Now())
	drawn := make(chan string)
	go func() { drawn <- st.picture() }()
	w.startClients()
	<-drawn
	w.stopAsk()
}
