package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
)

// The kill matrix: tfbake is killed with SIGKILL right before or right after the k-th call that changes something is
// processed, for every k of a bake; then `tfbake cleanup` must leave nothing, or `tfbake resume` must end with exactly
// one image and nothing else. By default every k is tried once, with the other dimensions taking turns; with
// TFBAKE_KILL=each every k before and after; with TFBAKE_KILL=full each combination. TFBAKE_KILL_PROVIDER=official uses the official provider, which terraform must be
// able to find through TF_CLI_CONFIG_FILE.
func TestKillMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	for name, template := range map[string]string{
		"vpc-kvm-disk": `{"builders":[{"type":"ncloud","region":"KR","server_image_number":"23214590","server_spec_code":"s2-g3","block_storage_size":20,
			"user_data":"#!/bin/sh\ntrue\n","server_image_name":"killed"}],"provisioners":[{"type":"shell","inline":["echo one >> /root/steps"]},{"type":"shell","inline":["echo two >> /root/steps"]}]}`,
		"classic": `{"builders":[{"type":"ncloud","region":"KR","server_image_product_code":"SPSW0LINUX000046","server_product_code":"SPSVRCPU00000001",
			"server_image_name":"killed"}],"provisioners":[{"type":"shell","inline":["echo one >> /root/steps"]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clean := newVictim(t, template)
			clean.run("run", "-json", "bake.json")
			clean.expect(1)
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
						v.resumeOrBake()
						v.expect(1)
						return
					}
					v.run("cleanup", "-all")
					v.expectNothing()
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
	cloud *localcloud.Cloud

	at   atomic.Pointer[killPoint]
	pid  atomic.Int64
	once sync.Once
	shot chan struct{}
}

func newVictim(t *testing.T, template string) *victim {
	t.Helper()
	v := &victim{t: t, dir: t.TempDir(), shot: make(chan struct{})}
	cloud, err := localcloud.Start(context.Background(), localcloud.Options{OnCall: v.onCall})
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
	if p := v.at.Load(); p != nil && p.call == n && p.when == when {
		v.once.Do(func() {
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
			close(v.shot)
		})
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
	v.at.Store(&p)
	var out bytes.Buffer
	cmd := v.command(provided([]string{"run", "bake.json"})...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.pid.Store(int64(cmd.Process.Pid))
	err := cmd.Wait()
	select {
	case <-v.shot:
	case <-time.After(5 * time.Second):
		v.t.Fatalf("the bake ended (%v) before its call %d:\n%s", err, p.call, out.String())
	}
	v.at.Store(nil)
}

// resumeOrBake goes on with the run; one that died before it created anything, or after its image was done and while it
// was being removed, is cleaned up as it tells.
func (v *victim) resumeOrBake() {
	v.t.Helper()
	runs, err := filepath.Glob(filepath.Join(v.dir, ".tfbake", "runs", "*"))
	if err != nil || len(runs) != 1 {
		v.t.Fatalf("runs %v, %v", runs, err)
	}
	v.run("resume", runs[0])
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

// expectNothing: nothing of the run, and no image but a finished one.
func (v *victim) expectNothing() {
	v.t.Helper()
	inv := v.cloud.Inventory()
	for _, i := range inv.Images {
		if i.Status != "CREAT" || i.Operation != "NULL" {
			v.t.Errorf("half an image is left: %v", i)
		}
	}
	v.expect(len(inv.Images))
}
