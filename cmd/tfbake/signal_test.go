//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
)

// lingering is a bake with a provisioner that takes its time.
var lingering = map[string]string{
	"vpc-kvm-disk": strings.Replace(kvmWithDisk, `"echo one >> /root/steps"`, `"echo here-we-are", "sleep 2"`, 1),
	"classic":      strings.Replace(classicPlain, `"echo one >> /root/steps"`, `"echo here-we-are", "sleep 2"`, 1),
}

// moment is a point of a bake to interfere at.
type moment struct {
	name string
	wait func(p *process)
}

func call(action string) func(*process) { return func(p *process) { p.waitForCall(action) } }

func moments() []moment {
	return []moment{
		{"preflight", call("getRegionList")},
		{"login-key", call("importLoginKey")},
		{"init", func(p *process) { p.waitForText("preparing the run directory") }},
		{"apply", call("createServerInstances")},
		{"connecting", func(p *process) { p.waitForText("Waiting for SSH") }},
		{"provisioning", func(p *process) { p.waitForText("here-we-are") }},
		{"stopping", call("stopServerInstances")},
		{"imaging", func(p *process) { p.waitForText("creating the image") }},
		{"way-down", func(p *process) { p.waitForText("terraform: destroying") }},
	}
}

// TestSignals: one signal ends a bake in good order, wherever it is; two end it at once, and cleanup does the rest.
func TestSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	type try struct {
		template string
		moment
		signals []syscall.Signal
	}
	var tries []try
	var names []string
	// Chosen so that single signals and pairs meet each moment.
	all := [][]syscall.Signal{{syscall.SIGINT}, {syscall.SIGTERM}, {syscall.SIGHUP}, {syscall.SIGINT, syscall.SIGINT}, {syscall.SIGTERM, syscall.SIGINT}}
	n := 0
	for _, template := range []string{"vpc-kvm-disk", "classic"} {
		for _, m := range moments() {
			chosen := [][]syscall.Signal{all[n%3], all[3+n%2]} // one signal and two, taking turns
			if fullFaults() {
				chosen = all
			} else if template == "classic" {
				chosen = chosen[n%2:][:1]
			}
			n++
			for _, s := range chosen {
				tries = append(tries, try{template, m, s})
				var sent []string
				for _, s := range s {
					sent = append(sent, s.String())
				}
				names = append(names, template+"/"+m.name+"/"+strings.Join(sent, "+"))
			}
		}
	}
	together(t, 8, names, func(t *testing.T, i int) {
		c := tries[i]
		v := newVictim(t, lingering[c.template])
		v.cloud.SetLatency(unhurried())
		p := v.start("run", "bake.json")
		c.wait(p)
		for n, s := range c.signals {
			if n > 0 {
				time.Sleep(150 * time.Millisecond)
			}
			p.signal(s)
		}
		signalled := time.Now()
		r := p.wait()
		took := time.Since(signalled)
		images := 0
		switch {
		case c.name == "way-down": // the image is done: it stays, and the way down is finished
			images = 1
			if len(c.signals) == 1 && r.code != exitOK {
				t.Errorf("exit code %d:\n%s", r.code, r.stderr)
			}
		case r.code != exitInterrupted && !(len(c.signals) > 1 && r.code == exitLeftovers): // leftovers win
			t.Errorf("exit code %d:\n%s", r.code, r.stderr)
		}
		if len(c.signals) > 1 {
			if took > time.Minute { // at once, on a busy machine
				t.Errorf("stopping at once took %s:\n%s", took, r.stderr)
			}
			if left := v.cloud.Inventory().Left(); len(left) > 0 && !strings.Contains(r.stderr, "tfbake cleanup") && !strings.Contains(r.stderr, "tfbake destroy") {
				t.Errorf("left %v without a word on how to remove it:\n%s", left, r.stderr)
			}
			again := v.tfbake("cleanup", "-all")
			if again.code != exitOK {
				t.Errorf("cleanup: exit code %d:\n%s", again.code, again.stderr)
			}
			if c.name == "imaging" && strings.Contains(r.stderr+again.stderr, "is finished and stays") {
				images = 1 // it was faster than the way down
			}
			v.expect(images)
			return
		}
		if c.name == "imaging" && strings.Contains(r.stderr, "is finished and stays") {
			images = 1
		}
		v.expectOnly(images)
	})
}

// unhurried gives every state change of the cloud a while, so that a signal strikes in the middle of it.
func unhurried() localcloud.Latency {
	l := localcloud.Fast()
	l.Server, l.Stop, l.Image, l.Terminate = 1500*time.Millisecond, time.Second, 1500*time.Millisecond, 300*time.Millisecond
	return l
}

// TestOutputGoesAway: nobody reads what tfbake writes any more. The bake goes on to its end all the same.
func TestOutputGoesAway(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	type try struct {
		name           string
		stdout, stderr bool // closed
		full           bool // not closed, but on a full device
		args           []string
	}
	tries := []try{
		{name: "stdout", stdout: true, args: []string{"run", "bake.json"}},
		{name: "stderr", stderr: true, args: []string{"run", "bake.json"}},
		{name: "both-json", stdout: true, stderr: true, args: []string{"run", "-json", "bake.json"}},
		{name: "full", stdout: true, stderr: true, full: true, args: []string{"run", "bake.json"}},
	}
	var names []string
	for _, c := range tries {
		names = append(names, c.name)
	}
	together(t, len(tries), names, func(t *testing.T, i int) {
		c := tries[i]
		v := newVictim(t, kvmWithDisk)
		cmd := v.command(provided(c.args)...)
		gone := func() *os.File {
			if c.full {
				f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
				if err != nil {
					t.Skip(err)
				}
				return f
			}
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			return w
		}
		if c.stdout {
			f := gone()
			defer f.Close()
			cmd.Stdout = f
		}
		if c.stderr {
			f := gone()
			defer f.Close()
			cmd.Stderr = f
		}
		r := v.begin(cmd).wait()
		if want := exitOK; r.code != want && !(c.stdout && r.code == exitFailed) { // the number of the image could not be told
			t.Errorf("exit code %d, want %d:\n%s\n%s", r.code, want, r.stdout, r.stderr)
		}
		v.expect(1)
	})
}

// TestFullDisk: the disk of the run directory fills up in the middle of a bake. It needs a file system of its own to fill.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	var names []string
	list := []moment{{"start", nil}}
	for _, m := range moments() {
		switch m.name {
		case "login-key", "apply", "provisioning", "imaging", "way-down":
			list = append(list, m)
		}
	}
	for _, m := range list {
		names = append(names, m.name)
	}
	together(t, len(list), names, func(t *testing.T, i int) {
		v := newVictim(t, lingering["vpc-kvm-disk"])
		v.cloud.SetLatency(unhurried())
		small := filepath.Join(v.dir, ".tfbake")
		if err := os.Mkdir(small, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := mountSmall(small, "4m"); err != nil {
			t.Skipf("no small disk to be had here: %v", err)
		}
		t.Cleanup(func() { unmount(small) })
		fill := func() {
			if err := fillUp(filepath.Join(small, "filler")); err != nil {
				t.Error(err)
			}
		}
		if list[i].wait == nil {
			fill()
		}
		p := v.start("run", "bake.json")
		if list[i].wait != nil {
			list[i].wait(p)
			fill()
		}
		r := p.wait()
		images := len(v.cloud.Inventory().Images)
		if r.code == exitOK && images != 1 || r.code != exitOK && !strings.Contains(r.stderr, "no space left on device") {
			t.Errorf("exit code %d, %d images:\n%s", r.code, images, r.stderr)
		}
		if list[i].wait == nil { // no journal, no server
			if n := v.cloud.MutatingCalls(); n > 0 {
				t.Errorf("%d calls changed something, without a journal", n)
			}
		}
		v.expectOnly(images)
		if err := os.Remove(filepath.Join(small, "filler")); err != nil {
			t.Fatal(err)
		}
		if c := v.tfbake("cleanup", "-all"); c.code != exitOK {
			t.Errorf("cleanup, with the disk free again: %s", c.stderr)
		}
		v.expect(images)
	})
}

// fillUp writes until the disk is full, and keeps it so for small writes as well.
func fillUp(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for chunk := make([]byte, 1<<16); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
	return nil
}

// TestInterruptSaysWhatItDoes: what is told of Ctrl-C is what happens then.
func TestInterruptSaysWhatItDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	tries := []struct {
		flag string
		kept bool
	}{{"-on-error=cleanup", false}, {"-on-error=ask", false}, {"-on-error=abort", true}, {"-on-error=run-cleanup-provisioner", true}, {"-keep", true}}
	var names []string
	for _, c := range tries {
		names = append(names, c.flag)
	}
	together(t, 3, names, func(t *testing.T, i int) {
		c := tries[i]
		v := newVictim(t, strings.Replace(kvmWithDisk, `"echo one >> /root/steps"`, `"echo here-we-are", "sleep 100"`, 1))
		p := v.start("run", c.flag, "bake.json")
		p.waitForText("here-we-are")
		p.signal(syscall.SIGINT)
		r := p.wait()
		if kept := len(v.cloud.Inventory().Left()) > 0; kept != c.kept || r.code != exitInterrupted {
			t.Errorf("kept: %v, exit code %d:\n%s", kept, r.code, r.stderr)
		}
		if strings.Contains(r.stderr, "everything stays as it is") != c.kept || strings.Contains(r.stderr, "destroying what exists") == c.kept {
			t.Errorf("kept: %v, and it says:\n%s", c.kept, r.stderr)
		}
		if again := v.tfbake("cleanup", v.onlyRun()); again.code != exitOK {
			t.Errorf("cleanup: %s", again.stderr)
		}
		v.expect(0)
	})
}
