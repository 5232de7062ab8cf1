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
