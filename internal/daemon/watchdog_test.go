package daemon_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/status"
	"github.com/retraind/retraind/systemd"
)

// manager fakes a service manager with a watchdog of 200 ms.
type manager struct {
	*systemd.Notifier
	pings, other chan string
}

const watchdogInterval = 200 * time.Millisecond

func manage(t testing.TB, w *world) *manager {
	t.Helper()
	path := filepath.Join(w.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	m := &manager{pings: make(chan string, 1), other: make(chan string, 100)}
	m.Notifier = systemd.NewNotifier(func(name string) string {
		return map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}[name]
	})
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			to, text := m.other, string(buffer[:n])
			if strings.Contains(text, "WATCHDOG=1") {
				to = m.pings
			}
			select {
			case to <- text:
			default:
			}
		}
	}()
	return m
}

// alive waits for n pings.
func (m *manager) alive(t *testing.T, n int) {
	t.Helper()
	late := time.After(patience)
	for range n {
		select {
		case <-m.pings:
		case <-late:
			t.Fatal("the watchdog is not fed")
		}
	}
}

// silent waits until no ping has arrived for three intervals. systemd kills the daemon after one.
func (m *manager) silent(t *testing.T) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case <-m.pings:
		case <-late:
			t.Fatal("the watchdog is fed although the loop hangs")
		case <-time.After(3 * watchdogInterval):
			return
		}
	}
}

// said waits for a message to the manager.
func (m *manager) said(t *testing.T, want string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case text := <-m.other:
			if strings.Contains(text, want) {
				return
			}
		case <-late:
			t.Fatalf("systemd never heard %s", want)
		}
	}
}

func (w *world) watched() (*running, *manager) {
	w.t.Helper()
	m := manage(w.t, w)
	r, ready := w.begin(m.Notifier)
	select {
	case <-ready:
	case <-r.done:
		w.t.Fatal(r.err)
	}
	return r, m
}

// The loop feeds the watchdog: if it hangs, here on a database that another process has locked, the pings stop.
func TestWatchdogGoesHungryWithTheLoop(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.hours = closed()
	r, m := w.watched()
	m.said(t, "READY=1")
	r.model("the table to be read", func(m status.Model) bool { return m.Report != nil && m.Report.Seq == items })
	m.alive(t, 5)
	release := w.occupy()
	r.evaluate <- struct{}{}
	m.silent(t)
	release()
	m.alive(t, 5)
	r.stop()
	m.said(t, "STOPPING=1")
}

// A slow classifier does not count as a hanging loop.
func TestWatchdogIsFedWhileTheClassifierIsSlow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.timeout = "5m"
	r, m := w.watched()
	r.first()
	asked, gone := make(chan struct{}, 1), make(chan struct{})
	slow := http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-gone:
		case <-req.Context().Done():
		}
		rw.WriteHeader(http.StatusInternalServerError)
	})
	w.service.fault.Store(&slow)
	w.sql(heldOut(t, 1))
	<-asked
	m.alive(t, 20) // some intervals
	w.service.fault.Store(nil)
	close(gone)
	r.model("the answer", func(m status.Model) bool { return m.Report.Seq == items+1 && m.Report.State == drift.StateOK })
}

// A driver that never answers delays only the step that needs a GPU: the watchdog is fed, and only one child at a time
// queries the driver.
func TestWatchdogIsFedWhileTheDriverHangs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.gpu = "{free: 1GiB}"
	w.steps = strings.Replace(w.usual(""), "kind: pure", "kind: pure, gpu: true", 1)
	r, m := w.watched()
	r.model("the first run", func(m status.Model) bool { return m.Active != nil })
	waittest.Eventually(t, "the training to ask for the GPU", func() bool { return probes(t) > 0 })
	most := 0
	for range 20 {
		m.alive(t, 1)
		most = max(most, probes(t))
	}
	if most != 1 {
		t.Errorf("%d children ask the driver at once", most)
	}
	r.stop()
}

// probes counts this process's children that query the driver.
func probes(t *testing.T) (n int) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for _, pid := range strings.Fields(string(children)) {
			line, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
			if strings.Contains(string(line), "gpu-probe") {
				n++
			}
		}
	}
	return n
}
