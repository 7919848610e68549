package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdFakeGPU gives the script a GPU of 24 GiB, empty until the command `card` changes it. It replaces NVIDIA's library,
// and nvidia-smi in a binary without cgo.
func cmdFakeGPU(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: fake-gpu")
	}
	driver := ts.MkAbs("driver")
	fakeDriver(driver, func(err error) { ts.Check(err) })
	state := ts.MkAbs("card")
	ts.Check(os.WriteFile(state, []byte("used 0\n"), 0o600))
	ts.Setenv("FAKE_NVML_STATE", state)
	ts.Setenv("LD_LIBRARY_PATH", driver)
	ts.Setenv("PATH", driver+":"+ts.Getenv("PATH"))
}

func fakeDriver(driver string, must func(error)) {
	must(os.MkdirAll(driver, 0o700))
	must(os.WriteFile(filepath.Join(driver, "nvidia-smi"), []byte(fakeSMI), 0o700))
	if gcc, err := exec.LookPath("gcc"); err == nil { // without gcc the program is built without cgo
		out, err := exec.Command(gcc, "-shared", "-fPIC", "-o", filepath.Join(driver, "libnvidia-ml.so.1"),
			"../../testdata/fake-nvml.c").CombinedOutput()
		if err != nil {
			must(fmt.Errorf("gcc: %w\n%s", err, out))
		}
	}
}

// cmdCard sets the use of the fake GPU: card 20480 notebook 18000 means that 20480 MiB are in use, of them 18000 by the
// program that was started as notebook. "xid 79" at the end adds an error of the device.
func cmdCard(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args)%2 != 1 {
		ts.Fatalf("usage: card USED [PROGRAM MIB | xid CODE]…")
	}
	text := "used " + args[0] + "\n"
	for i := 1; i < len(args); i += 2 {
		if args[i] == "xid" {
			text += "xid " + args[i+1] + "\n"
			continue
		}
		p := of(ts).processes[args[i]]
		if p == nil {
			ts.Fatalf("no program %q was started", args[i])
		}
		text += fmt.Sprintf("compute %d %s\n", p.cmd.Process.Pid, args[i+1])
	}
	// Replace the file atomically, because other processes read it at the same time.
	path := ts.Getenv("FAKE_NVML_STATE")
	ts.Check(os.WriteFile(path+".new", []byte(text), 0o600))
	ts.Check(os.Rename(path+".new", path))
}

// fakeSMI prints the answers of the stand-in for NVIDIA's library in nvidia-smi's format.
var fakeSMI = strings.TrimLeft(`
#!/bin/sh
if [ "$FAKE_NVML" = nodriver ]; then
	echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
	exit 9
fi
echo '<nvidia_smi_log><gpu><product_name>Fake RTX 4090</product_name><mig_mode><current_mig>N/A</current_mig></mig_mode>'
echo '<uuid>GPU-11111111-2222-3333-4444-555555555555</uuid><utilization><gpu_util>93 %</gpu_util></utilization>'
echo '<temperature><gpu_temp>64 C</gpu_temp></temperature>'
awk '
	$1 == "used" { used = $2 }
	$1 == "compute" { list = list "<process_info><pid>" $2 "</pid><type>C</type><used_memory>" $3 " MiB</used_memory></process_info>" }
	END {
		print "<fb_memory_usage><total>24576 MiB</total><used>" used " MiB</used><free>" 24576 - used " MiB</free></fb_memory_usage>"
		print "<processes>" list "</processes></gpu></nvidia_smi_log>"
	}
' "$FAKE_NVML_STATE"
`, "\n")

// cmdFakeSystemctl puts a systemctl in the script's PATH. A unit is the file units/NAME with its state; the shell
// scripts units/NAME.stopped and units/NAME.started run on a stop and a start.
func cmdFakeSystemctl(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: fake-systemctl")
	}
	dir := ts.MkAbs("systemctl")
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.MkdirAll(ts.MkAbs("units"), 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "systemctl"), []byte(fakeSystemctl), 0o700))
	ts.Setenv("PATH", dir+":"+ts.Getenv("PATH"))
}

var fakeSystemctl = strings.TrimLeft(`
#!/bin/sh
shift # --no-ask-password
verb=$1
for name; do :; done
unit=$(dirname "$0")/../units/$name
state=$(cat "$unit" 2>/dev/null || echo inactive)
case $verb in
show)
	load=loaded
	[ -e "$unit" ] || load=not-found
	[ -e "$unit.masked" ] && load=masked
	printf 'LoadState=%s\nActiveState=%s\nInvocationID=%s\n' $load $state "$(cat "$unit.invocation" 2>/dev/null)"
	printf 'CanStart=yes\nCanStop=yes\nTransient=no\n'
	;;
start)
	[ -e "$unit.masked" ] && echo "Failed to start $name: Unit $name is masked." >&2 && exit 1
	[ $state = active ] && exit 0
	date +%s%N >"$unit.invocation"
	echo active >"$unit"
	echo "start $name" >>"$(dirname "$unit")/log"
	[ ! -e "$unit.started" ] || . "$unit.started"
	;;
stop)
	[ $state = inactive ] && exit 0
	echo inactive >"$unit"
	echo "stop $name" >>"$(dirname "$unit")/log"
	[ ! -e "$unit.stopped" ] || . "$unit.stopped"
	;;
esac
`, "\n")
