//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
)

// The fault matrix: while a bake runs, the API misbehaves. Whatever it does, nothing may be left; where the trouble is of the
// kind that passes, the bake must succeed as well. By default every call of a bake is hit on its first occurrence, all in the
// same bake, with the kinds of trouble taking turns until each action has met each kind. TFBAKE_FAULTS=full gives each
// pair of action and kind a bake of its own, and lets calls hang until the client gives up. TFBAKE_KILL_PROVIDER=official
// chooses the provider, as for the kill matrix.

const (
	kvmWithDisk = `{"builders":[{"type":"ncloud","region":"KR","server_image_number":"23214590","server_spec_code":"s2-g3","block_storage_size":20,
		"user_data":"#!/bin/sh\ntrue\n","server_image_name":"baked"}],"provisioners":[{"type":"shell","inline":["echo one >> /root/steps"]}]}`
	classicPlain = `{"builders":[{"type":"ncloud","region":"KR","server_image_product_code":"SPSW0LINUX000046","server_product_code":"SPSVRCPU00000001",
		"server_image_name":"baked"}],"provisioners":[{"type":"shell","inline":["echo one >> /root/steps"]}]}`
)

var faultTemplates = map[string]string{"vpc-kvm-disk": kvmWithDisk, "classic": classicPlain}

// trouble is a kind of misbehaviour that passes.
type trouble struct {
	name  string
	fault localcloud.Fault
}

func passingTroubles() []trouble {
	slow := localcloud.Duration(700 * time.Millisecond)
	if fullFaults() {
		slow = localcloud.Duration(4 * time.Second)
	}
	all := []trouble{
		{"500-before", localcloud.Fault{Kind: localcloud.HTTPStatus, Status: 500}},
		{"500-after", localcloud.Fault{Kind: localcloud.HTTPStatus, Status: 500, When: localcloud.After}},
		{"503", localcloud.Fault{Kind: localcloud.HTTPStatus, Status: 503}},
		{"504-after", localcloud.Fault{Kind: localcloud.HTTPStatus, Status: 504, When: localcloud.After}},
		{"429", localcloud.Fault{Kind: localcloud.HTTPStatus, Status: 429}},
		{"drop-before", localcloud.Fault{Kind: localcloud.Drop}},
		{"drop-after", localcloud.Fault{Kind: localcloud.Drop, When: localcloud.After}},
		{"slow", localcloud.Fault{Kind: localcloud.Slow, Delay: slow}},
		{"truncate", localcloud.Fault{Kind: localcloud.Truncate}},
		{"error-in-200", localcloud.Fault{Kind: localcloud.ErrorIn200}},
		{"later", localcloud.Fault{Kind: localcloud.Business, Status: 500, Code: "1000", Message: "Please try your call again later."}},
	}
	if fullFaults() {
		all = append(all, trouble{"hang", localcloud.Fault{Kind: localcloud.Hang}}, trouble{"hang-after", localcloud.Fault{Kind: localcloud.Hang, When: localcloud.After}})
	}
	return all
}

func fullFaults() bool { return os.Getenv("TFBAKE_FAULTS") == "full" }

func TestPassingFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	for name, template := range faultTemplates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			actions := actionsOf(t, template)
			kinds := passingTroubles()
			type hit struct{ action, kind string }
			var bakes [][]localcloud.Fault
			var names []string
			if fullFaults() {
				for _, a := range actions {
					for _, k := range kinds {
						bakes = append(bakes, []localcloud.Fault{on(a, k)})
						names = append(names, a+"/"+k.name)
					}
				}
			} else {
				for i := range kinds {
					var faults []localcloud.Fault
					for j, a := range actions {
						faults = append(faults, on(a, kinds[(i+j)%len(kinds)]))
					}
					bakes = append(bakes, faults)
					names = append(names, fmt.Sprintf("turn-%02d", i))
				}
			}
			var mu sync.Mutex
			met := map[hit]bool{}
			var longest time.Duration
			together(t, 11, names, func(t *testing.T, i int) {
				v := newVictim(t, template)
				for _, f := range bakes[i] {
					if _, err := v.cloud.Inject(f); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				r := v.tfbake("run", "bake.json")
				if r.code != exitOK {
					t.Errorf("the bake failed with %d, which this trouble is no reason for:\n%s\n%s", r.code, r.stderr, v.told())
				}
				v.expect(1)
				mu.Lock()
				defer mu.Unlock()
				longest = max(longest, time.Since(began))
				for _, s := range v.cloud.Faults() {
					if s.Hits > 0 {
						met[hit{s.Action, s.ID[strings.LastIndex(s.ID, " ")+1:]}] = true
					}
				}
			})
			t.Logf("%d actions, %d kinds of trouble: %d pairs met in %d bakes, the longest took %s", len(actions), len(kinds), len(met), len(bakes), longest.Round(time.Second))
			if want := len(actions) * len(kinds); len(met) < want {
				t.Errorf("only %d of %d pairs of action and trouble came up", len(met), want)
			}
		})
	}
}

// on is the trouble for the first call of an action.
func on(action string, k trouble) localcloud.Fault {
	f := k.fault
	f.ID, f.Action, f.Nth = action+" "+k.name, action, 1
	return f
}

// together runs the cases side by side, n at a time: they wait for each other's pauses, not for the processor, so that
// go test's own limit is too low.
func together(t *testing.T, n int, names []string, do func(t *testing.T, i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, n)
	for i, name := range names {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(name, func(t *testing.T) { do(t, i) })
		})
	}
	wg.Wait()
}

// actionsOf lists the actions of a clean bake, in the order of their first call.
func actionsOf(t *testing.T, template string) []string {
	t.Helper()
	v := newVictim(t, template)
	v.run("run", "bake.json")
	v.expect(1)
	var actions []string
	for _, c := range v.cloud.Calls() {
		if a := c.Service + "/" + c.Action; !slices.Contains(actions, a) {
			actions = append(actions, a)
		}
	}
	if len(actions) < 15 {
		t.Fatalf("a bake calls only %v", actions)
	}
	return actions
}

// result is what came of a tfbake.
type result struct {
	code           int // -1: ended by a signal
	stdout, stderr string
}

// tfbake runs tfbake to its end, whatever that is.
func (v *victim) tfbake(args ...string) result {
	v.t.Helper()
	return v.finish(v.command(provided(args)...))
}

// finish runs a command of the victim's to its end.
func (v *victim) finish(cmd *exec.Cmd) result {
	v.t.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	return result{exitStatus(v.t, cmd.Run()), out.String(), err.String()}
}

func exitStatus(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatalf("tfbake did not run: %v", err)
	return -1
}

// told returns what the victim's runs left in their journals, for the messages of tests.
func (v *victim) told() string {
	var b strings.Builder
	logs, _ := filepath.Glob(filepath.Join(v.dir, ".tfbake", "runs", "*", "journal.jsonl"))
	for _, l := range logs {
		text, _ := os.ReadFile(l)
		b.Write(text)
	}
	return b.String()
}

// TestLastingFaults: what is no use repeating ends the bake with the cause named, and with nothing left. By default the
// calls that create something are refused, one a bake; with TFBAKE_FAULTS=full every action is.
func TestLastingFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	const why = "The office is closed today."
	for name, template := range faultTemplates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			actions := actionsOf(t, template)
			if !fullFaults() {
				actions = slices.DeleteFunc(actions, func(a string) bool {
					_, a, _ = strings.Cut(a, "/")
					return !strings.HasPrefix(a, "create") && !strings.HasPrefix(a, "add") && !strings.HasPrefix(a, "import")
				})
			}
			var mu sync.Mutex
			failed := 0
			together(t, 8, actions, func(t *testing.T, i int) {
				v := newVictim(t, template)
				f := localcloud.Fault{Kind: localcloud.Business, Action: actions[i], Code: "777777", Message: why}
				_, action, _ := strings.Cut(actions[i], "/")
				if strings.HasPrefix(action, "get") || !strings.Contains(action, "reate") && !strings.HasPrefix(action, "add") && !strings.HasPrefix(action, "import") {
					f.Nth = 1 // an account that refuses each delete or look cannot be cleaned by anyone
				}
				if _, err := v.cloud.Inject(f); err != nil {
					t.Fatal(err)
				}
				r := v.tfbake("run", "bake.json")
				images := 0
				if r.code == exitOK { // there was another way to the same end
					images = 1
				} else if !strings.Contains(r.stderr, why) || !strings.Contains(r.stderr, action) {
					t.Errorf("exit code %d, and the cause is not named:\n%s", r.code, r.stderr)
				}
				v.expectOnly(images)
				mu.Lock()
				defer mu.Unlock()
				if images == 0 {
					failed++
				}
			})
			t.Logf("%d actions refused: %d bakes failed, %d found another way", len(actions), failed, len(actions)-failed)
		})
	}
}

// TestBreakdowns: servers and images that fail, break down or never get ready.
func TestBreakdowns(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	patient := strings.Replace(kvmWithDisk, `"echo one >> /root/steps"`, `"echo here-we-are", "sleep 100"`, 1)
	impatient := strings.Replace(kvmWithDisk, `"type":"ncloud"`, `"type":"ncloud","ssh_timeout":"4s"`, 1)
	patientClassic := strings.Replace(classicPlain, `"echo one >> /root/steps"`, `"echo here-we-are", "sleep 100"`, 1)
	cases := []struct {
		name, template string
		fault          localcloud.Fault
		when           string // text of the story at which another client calls, so that the fault strikes there; "": the bake's own calls
		interrupt      string // action after which Ctrl-C ends the waiting
		code           int
		says           string
	}{
		{name: "server-fails", template: kvmWithDisk, fault: localcloud.Fault{Action: "createServerInstances", Kind: localcloud.CreateFails}, code: exitInfra, says: "FSTOP"},
		{name: "server-fails-classic", template: classicPlain, fault: localcloud.Fault{Action: "createServerInstances", Kind: localcloud.CreateFails}, code: exitInfra, says: "FSTOP"},
		{name: "image-fails", template: kvmWithDisk, fault: localcloud.Fault{Action: "createServerImage", Kind: localcloud.CreateFails}, code: exitImage, says: "createFailed"},
		{name: "image-fails-classic", template: classicPlain, fault: localcloud.Fault{Action: "createMemberServerImage", Kind: localcloud.CreateFails}, code: exitImage, says: "CREFL"},
		{name: "dies-before-login", template: impatient, fault: localcloud.Fault{Action: "getRootPassword", Kind: localcloud.Die}, code: exitProvision, says: "ssh"},
		{name: "dies-while-provisioning", template: patient, fault: localcloud.Fault{Action: "getServerInstanceList", Kind: localcloud.Die}, when: "here-we-are", code: exitProvision, says: "connection"},
		{name: "dies-while-provisioning-classic", template: patientClassic, fault: localcloud.Fault{Action: "getServerInstanceList", Kind: localcloud.Die}, when: "here-we-are", code: exitProvision, says: "connection"},
		{name: "disconnects", template: patient, fault: localcloud.Fault{Action: "getServerInstanceList", Kind: localcloud.Disconnect}, when: "here-we-are", code: exitProvision, says: "connection"},
		{name: "server-stuck", template: kvmWithDisk, fault: localcloud.Fault{Action: "createServerInstances", Kind: localcloud.Stuck}, interrupt: "createServerInstances", code: exitInterrupted, says: "interrupted by Ctrl-C"},
		{name: "server-stuck-classic", template: classicPlain, fault: localcloud.Fault{Action: "createServerInstances", Kind: localcloud.Stuck}, interrupt: "createServerInstances", code: exitInterrupted, says: "interrupted by Ctrl-C"},
		{name: "address-stuck", template: kvmWithDisk, fault: localcloud.Fault{Action: "createPublicIpInstance", Kind: localcloud.Stuck}, interrupt: "createPublicIpInstance", code: exitInterrupted, says: "interrupted by Ctrl-C"},
		{name: "disk-stuck", template: kvmWithDisk, fault: localcloud.Fault{Action: "createBlockStorageInstance", Kind: localcloud.Stuck}, interrupt: "createBlockStorageInstance", code: exitInterrupted, says: "interrupted by Ctrl-C"},
		{name: "image-stuck", template: kvmWithDisk, fault: localcloud.Fault{Action: "createServerImage", Kind: localcloud.Stuck}, interrupt: "createServerImage", code: exitInterrupted, says: "to become usable"},
		{name: "image-stuck-classic", template: classicPlain, fault: localcloud.Fault{Action: "createMemberServerImage", Kind: localcloud.Stuck}, interrupt: "createMemberServerImage", code: exitInterrupted, says: "to become usable"},
	}
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	together(t, 8, names, func(t *testing.T, i int) {
		c := cases[i]
		v := newVictim(t, c.template)
		if c.when == "" {
			if _, err := v.cloud.Inject(c.fault); err != nil {
				t.Fatal(err)
			}
		}
		p := v.start("run", "bake.json")
		if c.when != "" {
			p.waitForText(c.when)
			if _, err := v.cloud.Inject(c.fault); err != nil {
				t.Fatal(err)
			}
			v.tfbake("cleanup", "-orphans", "-dry-run") // it only looks
		}
		if c.interrupt != "" {
			p.waitForCall(c.interrupt)
			time.Sleep(time.Second)
			p.signal(os.Interrupt)
		}
		r := p.wait()
		if r.code != c.code || !strings.Contains(r.stderr, c.says) {
			t.Errorf("exit code %d, want %d and word of %q:\n%s", r.code, c.code, c.says, r.stderr)
		}
		v.expectOnly(0)
	})
}

// TestOutage: the API goes away for a while in the middle of a bake.
func TestOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	cases := []struct {
		name, after string
		fault       localcloud.Fault
	}{
		{"503-while-creating", "createServerInstances", localcloud.Fault{Kind: localcloud.HTTPStatus, Status: 503}},
		{"drop-while-creating", "createNetworkInterface", localcloud.Fault{Kind: localcloud.Drop}},
		{"429-while-imaging", "createServerImage", localcloud.Fault{Kind: localcloud.HTTPStatus, Status: 429}},
		{"503-on-the-way-down", "terminateServerInstances", localcloud.Fault{Kind: localcloud.HTTPStatus, Status: 503}},
	}
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	together(t, len(cases), names, func(t *testing.T, i int) {
		c := cases[i]
		v := newVictim(t, kvmWithDisk)
		p := v.start("run", "bake.json")
		p.waitForCall(c.after)
		if _, err := v.cloud.Inject(c.fault); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second)
		v.cloud.ClearFaults()
		if r := p.wait(); r.code != exitOK {
			t.Errorf("exit code %d:\n%s", r.code, r.stderr)
		}
		v.expect(1)
	})
}

// expectOnly: so many images and nothing else in the cloud. Unlike expect, it lets the run directory of a failure be.
func (v *victim) expectOnly(images int) {
	v.t.Helper()
	inv := v.cloud.Inventory()
	if len(inv.Left()) > 0 || len(inv.Images) != images {
		v.t.Errorf("left: %v, images: %v; want nothing and %d", inv.Left(), inv.Images, images)
	}
}

// process is a tfbake under way.
type process struct {
	v              *victim
	cmd            *exec.Cmd
	stdout, stderr safeBuffer
	done           chan struct{}
	err            error
}

// start starts tfbake.
func (v *victim) start(args ...string) *process {
	v.t.Helper()
	return v.begin(v.command(provided(args)...))
}

// begin starts a command of the victim's. Its output is kept, unless the command has somewhere else for it.
func (v *victim) begin(cmd *exec.Cmd) *process {
	v.t.Helper()
	p := &process{v: v, cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.stderr
	}
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	v.t.Cleanup(func() { // of a test that failed half-way
		cmd.Process.Kill()
		<-p.done
	})
	return p
}

func (p *process) signal(s os.Signal) {
	p.v.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.v.t.Errorf("signal: %v", err)
	}
}

func (p *process) wait() result {
	p.v.t.Helper()
	<-p.done
	return result{exitStatus(p.v.t, p.err), p.stdout.String(), p.stderr.String()}
}

// waitFor waits until something holds while the process runs.
func (p *process) waitFor(what string, holds func() bool) {
	p.v.t.Helper()
	for tick := time.NewTicker(5 * time.Millisecond); !holds(); {
		select {
		case <-p.done:
			p.v.t.Fatalf("tfbake ended (%v) before %s:\n%s", p.err, what, p.stderr.String())
		case <-tick.C:
		}
	}
}

// waitForCall waits until an action was called and processed.
func (p *process) waitForCall(action string) {
	p.v.t.Helper()
	p.waitFor("it called "+action, func() bool {
		return slices.ContainsFunc(p.v.cloud.Calls(), func(c localcloud.Call) bool { return c.Action == action && c.Done })
	})
}

// waitForText waits until the story holds a text.
func (p *process) waitForText(text string) {
	p.v.t.Helper()
	p.waitFor(fmt.Sprintf("it said %q", text), func() bool { return strings.Contains(p.stderr.String(), text) })
}

// safeBuffer is a bytes.Buffer that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
