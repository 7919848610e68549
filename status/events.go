package status

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// heartbeat is the interval at which an idle stream of events gets a line. The line keeps the stream open through
// proxies, and detects a client that is gone.
const heartbeat = 15 * time.Second

// events streams the daemon's events as server-sent events.
func events(backend Reader) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		release, ok := hold(r.Context(), heldStream)
		if !ok {
			writeError(w, fmt.Errorf("%w: too many event streams are open; try again later", errBusy))
			return
		}
		defer release()
		control := http.NewResponseController(w)
		if err := control.SetReadDeadline(time.Time{}); err != nil { // the stream lasts longer than the server's ReadTimeout
			writeError(w, fmt.Errorf("stream events: %w", err))
			return
		}
		feed := backend.Subscribe(r.Context())
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		io.WriteString(w, "retry: 2000\n\n") // the flush below detects a client that is gone
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			if err := control.Flush(); err != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				io.WriteString(w, ":\n\n")
			case e, ok := <-feed:
				if !ok {
					return
				}
				data, err := json.Marshal(e)
				if err != nil {
					continue // skip an event whose data is not JSON
				}
				fmt.Fprintf(w, "id: %s\nevent: retraind\ndata: %s\n\n", oneLine(e.ID), data)
			}
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// readEvents reads a stream on the client's side and sends each event on the channel until the stream or ctx ends. It
// calls `alive` for each line, heartbeats included.
func readEvents(ctx context.Context, stream io.Reader, into chan<- Event, alive func()) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		alive()
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e Event
		if json.Unmarshal([]byte(data), &e) != nil {
			continue
		}
		select {
		case into <- e:
		case <-ctx.Done():
			return
		}
	}
	_ = lines.Err() // the caller closes the channel in any case
}
