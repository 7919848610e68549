package gpu

import (
	"fmt"
	"slices"
	"strings"
)

// Holder is the owner of a process; empty fields are unknown.
type Holder struct {
	Unit      string `json:"unit,omitempty"`      // systemd unit, e.g. "ollama.service"
	UserUnit  bool   `json:"user_unit,omitempty"` // the unit belongs to a user's own service manager
	Container string `json:"container,omitempty"` // full container id
	Project   string `json:"project,omitempty"`   // compose project of the container
	Service   string `json:"service,omitempty"`   // compose service of the container
	Model     string `json:"model,omitempty"`     // model that Ollama has loaded in the process
}

// Kind is the kind of a process's owner: it decides how the memory can be freed.
type Kind string

// The kinds of holders.
const (
	KindOllama    Kind = "ollama"    // a process of Ollama: a loaded model can be unloaded
	KindCompose   Kind = "compose"   // a service of a compose project
	KindContainer Kind = "container" // any other container
	KindDesktop   Kind = "desktop"   // the desktop: Xorg, a compositor, a browser that draws
	KindService   Kind = "service"   // a systemd service
	KindSession   Kind = "session"   // any other unit, usually a login session: a shell, a notebook
	KindUnknown   Kind = "unknown"
	KindGone      Kind = "gone" // the driver lists it, but the host does not have it
)

// desktop lists programs of a graphical desktop, as truncated in /proc/PID/comm.
var desktop = []string{
	"Xorg", "Xwayland", "X", "gnome-shell", "gnome-remote-de", "gdm-x-session", "kwin_x11", "kwin_wayland", "plasmashell", "ksmserver",
	"sway", "Hyprland", "weston", "cinnamon", "xfwm4", "mutter-x11-fram", "picom", "compiz", "lightdm", "sddm",
}

// Kind returns the kind of the process's owner.
func (p Process) Kind() Kind {
	switch {
	case p.Gone:
		return KindGone
	case slices.Contains(desktop, p.Name):
		return KindDesktop
	case p.Model != "" || strings.HasPrefix(p.Name, "ollama"):
		return KindOllama
	case p.Project != "":
		return KindCompose
	case p.Container != "":
		return KindContainer
	case strings.HasSuffix(p.Unit, ".service"):
		return KindService
	case p.Unit != "":
		return KindSession
	case p.Graphics:
		return KindDesktop
	default:
		return KindUnknown
	}
}

// String describes the process for a person: program, owner, PID and memory. The owner is before the PID, because the
// owner is what can be stopped.
func (p Process) String() string {
	if p.Gone {
		return fmt.Sprintf("pid %d, which does not exist%s", p.PID, p.amount())
	}
	return fmt.Sprintf("%s, pid %d%s", p.Who(), p.PID, p.amount())
}

// Who describes the process without its PID and memory.
func (p Process) Who() string {
	if p.Gone {
		return "a process that does not exist"
	}
	who := p.Name
	if who == "" {
		who = "process"
	}
	if p.Model != "" {
		who += " with model " + p.Model
	}
	switch {
	case p.Project != "":
		who += " of compose service " + p.Project + "/" + p.Service
	case p.Container != "":
		who += " in container " + shortID(p.Container)
	case p.Unit != "":
		who += " of " + p.Unit
	}
	return who
}

// Owner names the process's owner: an Ollama model, compose service, container or unit; "" if unknown.
func (p Process) Owner() string {
	switch {
	case p.Model != "":
		return p.Model
	case p.Project != "":
		return p.Project + "/" + p.Service
	case p.Container != "":
		return shortID(p.Container)
	default:
		return p.Unit
	}
}

func (p Process) amount() string {
	if p.Used.State != Known {
		return ""
	}
	return ", " + Amount(p.Used.Size)
}

// Remedy returns how a person frees the memory of the process, and how to start it again. If one of the two is unknown,
// both are empty.
func (p Process) Remedy() (free, back string) {
	switch p.Kind() {
	case KindOllama:
		if p.Model != "" {
			return "ollama stop " + p.Model, "nothing to do, the next request loads it"
		}
	case KindCompose:
		compose := "docker compose -p " + p.Project
		return compose + " stop " + p.Service, compose + " start " + p.Service
	}
	systemctl := "systemctl "
	if p.UserUnit {
		systemctl += "--user "
	}
	switch {
	case p.Container != "":
		return "docker stop " + shortID(p.Container), "docker start " + shortID(p.Container)
	case strings.HasSuffix(p.Unit, ".service") && p.Kind() != KindDesktop:
		return systemctl + "stop " + p.Unit, systemctl + "start " + p.Unit
	default:
		return "", ""
	}
}

func shortID(container string) string { return container[:min(12, len(container))] }
