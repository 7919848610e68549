package dockertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/retraind/retraind/actions/docker"
)

// ComposeFile returns the compose file of one service, in JSON, which is valid YAML.
func ComposeFile(service, image string) string {
	return fmt.Sprintf(`{"services": {%q: {"build": {"context": "."}, "image": %q}}}`, service, image)
}

// Compose simulates the command line of docker-compose, version 1, in a test binary that was started under that name. A
// build fails if its context contains a file "fail-build". If the context contains "fail-run", the containers of the
// built image exit at once.
func Compose(args []string) int {
	if err := play(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// command is the parsed command line.
type command struct {
	project, dir string
	files        []string
	verb         string
	rest         []string
}

func parse(args []string) (c command) {
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--project-name":
			i++
			c.project = args[i]
		case "--project-directory":
			i++
			c.dir = args[i]
		case "--file":
			i++
			c.files = append(c.files, args[i])
		default:
			c.verb, c.rest = args[i], args[i+1:]
			return c
		}
	}
	return c
}

func play(args []string) error {
	c := parse(args)
	if c.verb == "version" {
		fmt.Println("1.29.2")
		return nil
	}
	image := ""
	for _, name := range c.files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var file struct {
			Services map[string]struct{ Image string }
		}
		if err := json.Unmarshal(b, &file); err != nil {
			return fmt.Errorf("yaml: %w", err)
		}
		if c.verb == "config" {
			_, err := os.Stdout.Write(b)
			return err
		}
		image = file.Services[c.rest[len(c.rest)-1]].Image
	}
	ask := url.Values{
		"project": {c.project}, "service": {c.rest[len(c.rest)-1]}, "image": {image}, "dir": {c.dir},
		"files": {strings.Join(c.files, ",")},
	}
	for i, arg := range c.rest {
		switch arg {
		case "--name":
			ask.Set("name", c.rest[i+1])
		case "--publish":
			ask.Set("publish", c.rest[i+1][strings.LastIndexByte(c.rest[i+1], ':')+1:])
		}
	}
	switch c.verb {
	case "run":
	case "build":
		id, err := contextID(c.dir)
		if err != nil {
			return err
		}
		ask.Set("id", id)
	case "up":
		for _, need := range []string{"-d", "--no-build", "--no-deps"} {
			if !strings.Contains(" "+strings.Join(c.rest, " ")+" ", " "+need+" ") {
				return fmt.Errorf("up without %s", need)
			}
		}
	default:
		return fmt.Errorf("no such command: %s", c.verb)
	}
	return post("/fake/"+c.verb, ask)
}

// contextID computes the id of the image that is built from a context.
func contextID(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "fail-build")); err == nil {
		return "", fmt.Errorf("COPY failed: file not found\nService failed to build : Build failed")
	}
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s\x00%s\x00", path, b)
		return err
	})
	id := "sha256:" + hex.EncodeToString(h.Sum(nil))
	if _, broken := os.Stat(filepath.Join(dir, "fail-run")); broken == nil {
		id += brokenImage
	}
	return id, err
}

// brokenImage ends the id of an image whose containers exit at once.
const brokenImage = "-broken"

func post(path string, ask url.Values) error {
	socket := strings.TrimPrefix(os.Getenv(docker.HostVar), "unix://")
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", socket)
	}}}
	resp, err := client.PostForm("http://docker"+path, ask)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s", b)
	}
	return nil
}

// composed executes the parsed command line. The caller holds the lock.
func (e *Engine) composed(w http.ResponseWriter, r *http.Request) {
	project, service, image := r.FormValue("project"), r.FormValue("service"), r.FormValue("image")
	e.calls = append(e.calls, r.URL.Path+" "+image)
	if r.URL.Path == "/fake/build" {
		e.name(r.FormValue("id"), image)
		return
	}
	id, known := e.imageOf(image)
	if !known {
		fail(w, http.StatusNotFound, "no such image: "+image)
		return
	}
	e.created++
	if r.URL.Path == "/fake/run" {
		port, _ := strconv.Atoi(r.FormValue("publish"))
		c := &Container{
			ID: fmt.Sprintf("created%d", e.created), Name: r.FormValue("name"), Image: id, ImageName: image, State: "running",
			Started: time.Now().UTC(), Ports: map[int]int{port: e.answers}, Output: "ready\n",
			Labels: map[string]string{
				docker.LabelProject: project, docker.LabelService: service, docker.LabelOneOff: "True",
			},
		}
		if strings.HasSuffix(id, brokenImage) {
			c.State, c.Exit, c.Output = "exited", 3, "no such model\n"
		}
		e.containers = append(e.containers, c)
		return
	}
	for i, c := range e.containers {
		if c.Labels[docker.LabelProject] == project && c.Labels[docker.LabelService] == service {
			e.containers = append(e.containers[:i:i], e.containers[i+1:]...)
			break
		}
	}
	c := &Container{
		ID: fmt.Sprintf("created%d", e.created), Name: project + "_" + service + "_1", Image: id, ImageName: image,
		State: "running", Started: time.Now().UTC(), Restart: "unless-stopped", Output: "ready\n",
		Labels: map[string]string{
			docker.LabelProject: project, docker.LabelService: service, docker.LabelOneOff: "False",
			docker.LabelDir: r.FormValue("dir"), docker.LabelFiles: r.FormValue("files"),
		},
	}
	if strings.HasSuffix(id, brokenImage) {
		c.State, c.Exit, c.Output = "exited", 3, "no such model\n"
	}
	e.containers = append(e.containers, c)
}
