//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
)

// The kill matrix: tfbake is killed with SIGKILL right before or right after the k-th call that changes something is
// processed, for every k of a bake; then `tfbake cleanup` must leave nothing, or `tfbake resume` must end with exactly
// one image, in which each provisioner has run once, and nothing else. By default every k is tried once, with the other
// dimensions taking turns; with TFBAKE_KILL=each every k before and after; with TFBAKE_KILL=full each combination.
// TFBAKE_KILL_PROVIDER=official uses the official provider, which terraform must be able to find through
// TF_CLI_CONFIG_FILE.
func TestKillMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	for name, template := range killTemplates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clean := newVictim(t, template)
			clean.run("run", "-json", "bake.json")
			clean.expect(1)
			clean.expectSteps()
			calls := clean.cloud.MutatingCalls()
			if calls < 5 {
				t.Fatalf("a clean bake makes only %d mutating calls", calls)
			}
			t.Logf("a clean bake makes %d mutating calls", calls)
			for _, p := range killPoints(calls) {
				t.Run(p.String(), func(t *testing.T) {
					t.Parallel()
					v := newVictim(t, template)
					v.kill(p)
					if p.resume {
						v.resume()
						v.expect(1)
						v.expectSteps()
						return
					}
					finished := v.finished()
					v.run("cleanup", "-all")
					v.expectNothing(finished...)
				})
			}
		})
	}
}

// killTemplates write into /root/steps of their image what expectSteps wants there.
var killTemplates = map[string]string{
	"vpc-kvm-disk": `{"builders":[{"type":"ncloud","region":"KR","server_image_number":"23214590","server_spec_code":"s2-g3","block_storage_size":20,
		"user_data":"#!/bin/sh\ntrue\n","server_image_name":"killed"}],"provisioners":[{"type":"shell","inline":["echo one >> /root/steps"]},{"type":"shell","inline":["echo two >> /root/steps"]}]}`,
	"classic": `{"builders":[{"type":"ncloud","region":"KR","server_image_product_code":"SPSW0LINUX000046","server_product_code":"SPSVRCPU00000001",
		"server_image_name":"killed"}],"provisioners":[{"type":"shell","inline":["echo one >> /root/steps"]},{"type":"shell","inline":["echo two >> /root/steps"]}]}`,
}

// TestDoubleKill: the bake is killed, and then the resume of it, at its j-th call that changes something; another resume must
// end as if nothing had happened. By default a few points, which meet the resume while it removes what there is, while it
// creates anew, and while it goes on; with TFBAKE_KILL=full, or double, every second call of the bake with every second of
// the resume.
func TestDoubleKill(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	type pair struct{ first, second killPoint }
	pairs := func(name string, calls int) (out []pair) {
		if mode := os.Getenv("TFBAKE_KILL"); mode == "full" || mode == "double" {
			for k := 1; k <= calls; k += 2 {
				for j := 1; j <= calls; j += 2 {
					out = append(out, pair{killPoint{call: k, when: localcloud.After, tree: (k+j)%4 == 0}, killPoint{call: j, when: localcloud.After, tree: true}})
				}
			}
			return out
		}
		points := [][2]int{{4, 1}, {8, 3}, {9, 6}, {10, 12}, {calls - 8, 4}}
		if name == "classic" {
			points = [][2]int{{2, 1}, {3, 2}, {3, 4}, {4, 1}}
		}
		for i, p := range points {
			out = append(out, pair{killPoint{call: p[0], when: localcloud.After, tree: true}, killPoint{call: p[1], when: localcloud.After, tree: i%2 == 0}})
		}
		return out
	}
	for name, template := range killTemplates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clean := newVictim(t, template)
			clean.run("run", "bake.json")
			for _, p := range pairs(name, clean.cloud.MutatingCalls()) {
				t.Run(fmt.Sprintf("%02d-%02d", p.first.call, p.second.call), func(t *testing.T) {
					t.Parallel()
					v := newVictim(t, template)
					v.kill(p.first)
					run := v.onlyRun()
					p.second.call += v.cloud.MutatingCalls()
					if !v.killed(p.second, "resume", run) {
						return // it came to its end before, which is well
					}
					v.resume()
					v.expect(1)
					v.expectSteps()
				})
			}
		})
	}
}

// killPoint is one place to be killed at.
type killPoint struct {
	call   int // the k-th mutating call, from 1
	when   localcloud.When
	tree   bool // terraform and the provider are killed with tfbake
	resume bool // go on afterwards, instead of cleaning up
}

func (p killPoint) String() string {
	who, then := "alone", "cleanup"
	if p.tree {
		who = "tree"
	}
	if p.resume {
		then = "resume"
	}
	return fmt.Sprintf("%02d-%s-%s-%s", p.call, p.when, who, then)
}

func killPoints(calls int) []killPoint {
	var points []killPoint
	for k := 1; k <= calls; k++ {
		for i, when := range []localcloud.When{localcloud.Before, localcloud.After} {
			if os.Getenv("TFBAKE_KILL") == "full" {
				for _, tree := range []bool{false, true} {
					for _, resume := range []bool{false, true} {
						points = append(points, killPoint{k, when, tree, resume})
					}
				}
				continue
			}
			if os.Getenv("TFBAKE_KILL") == "each" || (k+i)%2 == 0 {
				points = append(points, killPoint{k, when, (k/2+i)%2 == 0, (k/4+i)%2 == 0})
			}
		}
	}
	return points
}

// victim is a tfbake to be killed, with a cloud of its own that outlives it.
type victim struct {
	t     *testing.T
	dir   string
	data  string // the cloud's
	cloud *localcloud.Cloud

	at   atomic.Pointer[killPoint] // nil: nowhere, or it was killed there
	pid  atomic.Int64
	shot chan struct{}
}

func newVictim(t *testing.T, template string) *victim {
	t.Helper()
	v := &victim{t: t, dir: t.TempDir(), data: t.TempDir(), shot: make(chan struct{}, 1)}
	cloud, err := localcloud.Start(context.Background(), localcloud.Options{Dir: v.data, OnCall: v.onCall})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	v.cloud = cloud
	if err := os.WriteFile(filepath.Join(v.dir, "bake.json"), []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victim) onCall(c localcloud.Call, when localcloud.When) {
	if !c.Mutating {
		return
	}
	n := c.MutatingSeq
	if p := v.at.Load(); p != nil && p.call == n && p.when == when && v.at.CompareAndSwap(p, nil) {
		pid := int(v.pid.Load())
		killed := []int{pid}
		if p.tree {
			killed = append(killed, descendants(pid)...)
		}
		// All at once: a terraform that learns of its tfbake's death first would return its lock.
		for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, pid := range killed {
				syscall.Kill(pid, signal)
			}
		}
		v.shot <- struct{}{}
	}
}

// descendants returns the processes below pid, by the process table.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, s := range stats {
		b, err := os.ReadFile(s)
		if err != nil {
			continue
		}
		// pid (name) state ppid …; the name may hold anything, but no ")" follows it
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(s)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], child)
	}
	var out []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		out = append(out, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return out
}

func (v *victim) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // a guard against hanging, not a measure: the machine may be busy
	v.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // to see where it hangs
	cmd.WaitDelay = 5 * time.Second
	cmd.Dir = v.dir
	access, secret := v.cloud.Credentials()
	cmd.Env = append(os.Environ(), "TFBAKE_TEST_MAIN=1", "HOME="+v.dir, "NCLOUD_API_GW="+v.cloud.Endpoint(),
		"NCLOUD_ACCESS_KEY="+access, "NCLOUD_SECRET_KEY="+secret, "TFBAKE_SOURCE_CIDRS=127.0.0.0/8")
	return cmd
}

// provided adds -provider: embedded unless the environment asks for the official one.
func provided(args []string) []string {
	p := os.Getenv("TFBAKE_KILL_PROVIDER")
	if p == "" {
		p = embeddedProvider
	}
	return append([]string{args[0], "-provider", p}, args[1:]...)
}

// run runs tfbake to its end, which must be a good one.
func (v *victim) run(args ...string) {
	v.t.Helper()
	var out bytes.Buffer
	cmd := v.command(provided(args)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		v.t.Fatalf("tfbake %s: %v\n%s", args[0], err, out.String())
	}
}

// kill starts a bake and waits for its death at the point.
func (v *victim) kill(p killPoint) {
	v.t.Helper()
	if !v.killed(p, "run", "bake.json") {
		v.t.Fatalf("the bake ended before its call %d", p.call)
	}
}

// killed starts tfbake and waits for its death at the point. It is false when tfbake came to a good end before.
func (v *victim) killed(p killPoint, args ...string) bool {
	v.t.Helper()
	v.at.Store(&p)
	defer v.at.Store(nil)
	var out bytes.Buffer
	cmd := v.command(provided(args)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.pid.Store(int64(cmd.Process.Pid))
	err := cmd.Wait()
	if err == nil {
		return false
	}
	select {
	case <-v.shot:
	case <-time.After(5 * time.Second):
		v.t.Fatalf("tfbake %s ended (%v) before its call %d:\n%s", args[0], err, p.call, out.String())
	}
	return true
}

// onlyRun returns the directory of the one run there is.
func (v *victim) onlyRun() string {
	v.t.Helper()
	runs, err := filepath.Glob(filepath.Join(v.dir, ".tfbake", "runs", "*"))
	if err != nil || len(runs) != 1 {
		v.t.Fatalf("runs %v, %v", runs, err)
	}
	return runs[0]
}

// resume goes on with the run.
func (v *victim) resume() {
	v.t.Helper()
	v.run("resume", v.onlyRun())
}

// expectSteps looks into the images: each step has run, in order, and none twice. A kill at a call of the API meets no
// provisioner in its middle.
func (v *victim) expectSteps() {
	v.t.Helper()
	for _, i := range v.cloud.Inventory().Images {
		got, err := os.ReadFile(filepath.Join(v.data, "images", i.No, "root", "root", "steps"))
		if err != nil || string(got) != "one\ntwo\n" {
			v.t.Errorf("image %s: the steps are %q, %v", i.No, got, err)
		}
	}
}

func (v *victim) expect(images int) {
	v.t.Helper()
	inv := v.cloud.Inventory()
	if len(inv.Left()) > 0 || len(inv.Images) != images {
		v.t.Errorf("left: %v, images: %v; want nothing and %d", inv.Left(), inv.Images, images)
	}
	if runs, _ := filepath.Glob(filepath.Join(v.dir, ".tfbake", "runs", "*")); len(runs) > 0 {
		v.t.Errorf("run directories are left: %v", runs)
	}
}

// finished are the numbers of the finished images.
func (v *victim) finished() (nos []string) {
	for _, i := range v.cloud.Inventory().Images {
		if i.Status == "CREAT" && i.Operation == "NULL" {
			nos = append(nos, i.No)
		}
	}
	return nos
}

// expectNothing: nothing of the run, no image but a finished one, and those that were finished before.
func (v *victim) expectNothing(before ...string) {
	v.t.Helper()
	now := v.finished()
	for _, no := range before {
		if !slices.Contains(now, no) {
			v.t.Errorf("the finished image %s is gone", no)
		}
	}
	v.expect(len(now))
}
