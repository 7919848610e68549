//go:build faults

package faults

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
)

var state struct {
	mu   sync.Mutex
	seen map[string]int // how often each point was passed; guarded by mu
}

// Point appends its name and count to the file RETRAIND_CRASH_LOG, and kills the process if RETRAIND_CRASH_AT ("name"
// or "name#3") names this call.
func Point(name string) {
	state.mu.Lock()
	defer state.mu.Unlock()
	if state.seen == nil {
		state.seen = map[string]int{}
	}
	state.seen[name]++
	at := name + "#" + strconv.Itoa(state.seen[name])
	if file := os.Getenv("RETRAIND_CRASH_LOG"); file != "" {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			fmt.Fprintln(f, at)
			f.Close()
		}
	}
	if want := os.Getenv("RETRAIND_CRASH_AT"); want != "" && (want == at || want == name) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // block until the signal arrives; nothing may run after the point
	}
}
