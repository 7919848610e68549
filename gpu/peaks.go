package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"github.com/retraind/retraind/internal/unit"
)

// PeaksFile is the name of the file of Peaks in a state directory.
const PeaksFile = "gpu-peaks.json"

const (
	keptPeaks = 5
	// takesAll is the share of the free memory above which a peak is ignored: some programs take all there is.
	takesAll = 0.95
	// peakMargin is the factor between the measured peak and the memory that a later run needs.
	peakMargin = 1.1
)

// Peak is the memory that one successful step used on a device.
type Peak struct {
	Peak   unit.Size `json:"peak"` // the most that its processes held at the same time
	Free   unit.Size `json:"free"` // free memory when it began
	Device string    `json:"device"`
	At     time.Time `json:"at"`
}

// Peaks stores the GPU memory that the steps of this host's models used, in one file. Safe for concurrent use in one
// process.
type Peaks struct {
	Path string

	mu sync.Mutex // serializes read, change and replace of the file
}

// peaksFile is the file's content: the latest peaks by model and step, the oldest first.
type peaksFile map[string]map[string][]Peak

// Record adds a peak, and removes the oldest one if there are too many.
func (p *Peaks) Record(model, step string, peak Peak) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	file, err := p.read()
	if err != nil {
		file = peaksFile{} // an unreadable file is replaced: later runs measure again
	}
	if file[model] == nil {
		file[model] = map[string][]Peak{}
	}
	kept := append(file[model][step], peak)
	file[model][step] = kept[max(0, len(kept)-keptPeaks):]
	text, err := json.MarshalIndent(file, "", "  ")
	if err == nil {
		err = renameio.WriteFile(p.Path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("record GPU peak of %s: %w", model, err)
	}
	return nil
}

// Need returns the memory that a step needs according to its recorded peaks; zero if there are none.
func (p *Peaks) Need(model, step string) (Need, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	file, err := p.read()
	if err != nil {
		return Need{}, err
	}
	return learned(file[model][step]), nil
}

func (p *Peaks) read() (peaksFile, error) {
	text, err := os.ReadFile(p.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return peaksFile{}, nil
	}
	file := peaksFile{}
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return nil, fmt.Errorf("read GPU peaks: %w (remove the file %s; retraind will create a new one)", err, p.Path)
	}
	if file == nil { // the text is null
		file = peaksFile{}
	}
	return file, nil
}

// Need is how much memory a step needed in earlier runs.
type Need struct {
	Size unit.Size `json:"size"`
	Runs int       `json:"runs"` // number of runs that measured it
}

// learned adds a margin to each peak, but not beyond the memory that was free when its step began, and returns the
// largest. Steps that took nearly all of the free memory are ignored.
func learned(peaks []Peak) Need {
	var need Need
	for _, p := range peaks {
		if float64(p.Peak) >= takesAll*float64(p.Free) {
			continue
		}
		need.Runs++
		need.Size = max(need.Size, min(unit.Size(peakMargin*float64(p.Peak)), p.Free))
	}
	return need
}

// wants returns the memory that must be free: the configured one, or the measured one if that is more.
func (c Config) wants(need Need) unit.Size { return max(c.Free, need.Size) }

// Wants describes the conditions for a device.
func (c Config) Wants(need Need) string {
	var list []string
	if want := c.wants(need); want > 0 {
		list = append(list, Amount(want)+" free"+need.by(c))
	}
	if c.MaxUsed > 0 {
		list = append(list, "at most "+Amount(c.MaxUsed)+" in use")
	}
	return strings.Join(append(list, "no other program that computes on it"), ", ")
}

// by describes the origin of a need that is not from the configuration.
func (n Need) by(c Config) string {
	switch {
	case n.Size <= c.Free:
		return ""
	case n.Runs == 1:
		return " (measured in the last run)"
	default:
		return fmt.Sprintf(" (measured in the last %d runs)", n.Runs)
	}
}
