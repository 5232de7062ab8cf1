//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
)

// The clock of the machine jumps, at each step of a bake and between a death and what follows it: by hours, as a laptop that
// wakes up or a restored VM, and by minutes, as NTP does. The API refuses what is signed more than 5 minutes from its own
// time. By default the jumps take turns at the steps; TFBAKE_CLOCK=full makes every jump at every step.

var jumps = []time.Duration{25 * time.Hour, -25 * time.Hour, 10 * time.Minute, -10 * time.Minute}

func fullClock() bool { return os.Getenv("TFBAKE_CLOCK") == "full" }

// jumpsAt returns the jumps to try at the n-th place.
func jumpsAt(n int) []time.Duration {
	if fullClock() {
		return jumps
	}
	return jumps[n%len(jumps):][:1]
}

// setClock makes this machine's clock jump, for tfbake: by how much it is ahead from now on.
func (v *victim) setClock(ahead time.Duration) {
	v.t.Helper()
	file := v.clockFile()
	err := os.WriteFile(file+".new", []byte(ahead.String()), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) clockFile() string { return filepath.Join(v.dir, "clock") }

// aheadText is how tfbake names a jump.
func aheadText(ahead time.Duration) string {
	switch ahead {
	case 25 * time.Hour:
		return "this machine's clock is 25h0m ahead of the cloud's"
	case -25 * time.Hour:
		return "this machine's clock is 25h0m behind the cloud's"
	case 10 * time.Minute:
		return "this machine's clock is 10m ahead of the cloud's"
	}
	return "this machine's clock is 10m behind the cloud's"
}

// TestClockJumps: whatever the clock does in the middle of a bake, it ends with one image, and the user is told of the clock.
func TestClockJumps(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	type try struct {
		template string
		at, back *moment // back: the clock is set right again here
		ahead    time.Duration
	}
	var tries []try
	var names []string
	steps := append([]moment{{"start", nil}, {"template", func(p *process) { p.waitForText("checking the template") }}}, moments()...)
	n := 0
	for _, template := range []string{"vpc-kvm-disk", "classic"} {
		for i := range steps {
			if template == "classic" && !fullClock() && i%3 != 0 {
				continue
			}
			for _, ahead := range jumpsAt(n) {
				tries = append(tries, try{template, &steps[i], nil, ahead})
				names = append(names, fmt.Sprintf("%s/%s/%s", template, steps[i].name, ahead))
			}
			n++
		}
	}
	apply, imaging := stepNamed(steps, "apply"), stepNamed(steps, "imaging")
	tries = append(tries, try{"vpc-kvm-disk", apply, imaging, 25 * time.Hour}, try{"vpc-kvm-disk", apply, imaging, -25 * time.Hour})
	names = append(names, "there-and-back/25h", "there-and-back/-25h")

	together(t, 8, names, func(t *testing.T, i int) {
		c := tries[i]
		v := newVictim(t, lingering[c.template])
		v.cloud.SetLatency(unhurried())
		if c.at.wait == nil {
			v.setClock(c.ahead)
		}
		p := v.startTimed("run", "-provider=embedded", "bake.json")
		if c.at.wait != nil {
			c.at.wait(p)
			v.setClock(c.ahead)
		}
		before := len(v.cloud.Calls())
		if c.back != nil {
			c.back.wait(p)
			v.setClock(0)
		}
		r := p.wait()
		met := len(v.cloud.Calls())-before > 10 // on a slow machine the last jump may come too late
		if r.code != exitOK || met && !strings.Contains(r.stderr, aheadText(c.ahead)) {
			t.Errorf("exit code %d, clock %s:\n%s", r.code, c.ahead, r.stderr)
		}
		if !met && c.at.name != "way-down" {
			t.Errorf("only %d calls met the jump", len(v.cloud.Calls())-before)
		}
		if c.back != nil && !strings.Contains(r.stderr, "this machine's clock is right again") {
			t.Errorf("nothing said of the clock that is right again:\n%s", r.stderr)
		}
		v.expect(1)
	})
}

func stepNamed(steps []moment, name string) *moment {
	return &steps[slices.IndexFunc(steps, func(m moment) bool { return m.name == name })]
}

// startTimed starts tfbake with the clock of setClock.
func (v *victim) startTimed(args ...string) *process {
	v.t.Helper()
	cmd := v.command(args...)
	cmd.Env = append(cmd.Env, "TFBAKE_TEST_CLOCK="+v.clockFile())
	return v.begin(cmd)
}

func (v *victim) timed(args ...string) result {
	v.t.Helper()
	return v.startTimed(args...).wait()
}

// TestClockJumpsWhileDead: the clock jumps between the death of a bake and what comes after it.
func TestClockJumpsWhileDead(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	type try struct {
		template string
		action   string
		resume   bool
		ahead    time.Duration
	}
	var tries []try
	var names []string
	calls := map[string]map[string]int{} // template, action: the number of the mutating call
	n := 0
	for _, template := range []string{"vpc-kvm-disk", "classic"} {
		calls[template] = mutatingCalls(t, faultTemplates[template])
		image := map[string]string{"vpc-kvm-disk": "createServerImage", "classic": "createMemberServerImage"}[template]
		for i, action := range []string{"importLoginKey", "createServerInstances", "stopServerInstances", image, "terminateServerInstances"} {
			for _, resume := range []bool{false, true} {
				if !fullClock() && (resume != (i%2 == 0) || template == "classic" && i%2 == 0) {
					continue
				}
				for _, ahead := range jumpsAt(n) {
					tries = append(tries, try{template, action, resume, ahead})
					then := "cleanup"
					if resume {
						then = "resume"
					}
					names = append(names, fmt.Sprintf("%s/%s/%s/%s", template, action, then, ahead))
				}
				n++
			}
		}
	}
	together(t, 8, names, func(t *testing.T, i int) {
		c := tries[i]
		v := newVictim(t, faultTemplates[c.template])
		v.kill(killPoint{call: calls[c.template][c.action], when: localcloud.After, tree: true})
		v.setClock(c.ahead)
		args := []string{"cleanup", "-all"}
		if c.resume {
			runs, _ := filepath.Glob(filepath.Join(v.dir, ".tfbake", "runs", "*"))
			if len(runs) != 1 {
				t.Fatalf("runs %v", runs)
			}
			args = []string{"resume", "-provider=embedded", runs[0]}
		}
		if r := v.timed(args...); r.code != exitOK || !strings.Contains(r.stderr, aheadText(c.ahead)) {
			t.Errorf("%v: exit code %d:\n%s", args, r.code, r.stderr)
		}
		if c.resume {
			v.expect(1)
		} else {
			v.expectNothing()
		}
	})
}

// mutatingCalls numbers the calls of a clean bake that change something, by action; of several, the first.
func mutatingCalls(t *testing.T, template string) map[string]int {
	t.Helper()
	v := newVictim(t, template)
	v.run("run", "bake.json")
	v.expect(1)
	numbers := map[string]int{}
	for _, c := range v.cloud.Calls() {
		if c.Mutating && numbers[c.Action] == 0 {
			numbers[c.Action] = c.MutatingSeq
		}
	}
	return numbers
}

// TestClockWrongAllAlong: the whole machine, terraform included, is off from the start; the cloud's dates are of another day.
func TestClockWrongAllAlong(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	tries := []struct {
		template string
		ahead    time.Duration
	}{{"vpc-kvm-disk", 25 * time.Hour}, {"classic", -25 * time.Hour}}
	together(t, len(tries), []string{"vpc-kvm-disk/25h", "classic/-25h"}, func(t *testing.T, i int) {
		c := tries[i]
		v := newVictim(t, faultTemplates[c.template])
		v.cloud.SetClock(-c.ahead)
		// The official provider signs with this machine's time: nothing is begun that could not be finished.
		if r := v.timed("run", "-provider=official", "bake.json"); r.code != exitPreflight || !strings.Contains(r.stderr, aheadText(c.ahead)+", and the official provider's calls") {
			t.Errorf("official provider: exit code %d:\n%s", r.code, r.stderr)
		}
		if v.cloud.MutatingCalls() > 0 {
			t.Error("something was created")
		}
		if r := v.timed("run", "-provider=embedded", "bake.json"); r.code != exitOK || strings.Count(r.stderr, aheadText(c.ahead)) != 1 {
			t.Errorf("exit code %d:\n%s", r.code, r.stderr)
		}
		v.expect(1)
	})
}

// TestClockAndAges: nothing is destroyed because a clock is wrong. What counts is the age by the cloud's clock.
func TestClockAndAges(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	type try struct {
		name       string
		keepFor    string
		cleanup    []string
		fast, slow string // why it leaves the run alone when this machine's clock is fast, and when it is not
	}
	var tries []try
	var aheads []time.Duration // of the clock of the machine that baked
	var names []string
	for _, c := range []try{
		{"keep-for", "2h", []string{"cleanup", "-all"}, "by the cloud's clock", "kept until"},
		{"older-than", "1s", []string{"cleanup", "-all", "-older-than=2h"}, "younger than 2h0m0s, by the cloud's clock", "younger than 2h0m0s"},
		{"orphans", "2h", []string{"cleanup", "-orphans"}, "at work less than 1h0m0s ago", "at work less than 1h0m0s ago"},
	} {
		for _, ahead := range []time.Duration{-25 * time.Hour, 0} {
			if ahead == 0 && !fullClock() {
				continue
			}
			tries, aheads, names = append(tries, c), append(aheads, ahead), append(names, fmt.Sprintf("%s/made-at-%s", c.name, ahead))
		}
	}
	together(t, 8, names, func(t *testing.T, i int) {
		c := tries[i]
		v := newVictim(t, kvmWithDisk)
		v.setClock(aheads[i])
		if r := v.timed("run", "-provider=embedded", "-keep", "-keep-for="+c.keepFor, "bake.json"); r.code != exitOK {
			t.Fatalf("exit code %d:\n%s", r.code, r.stderr)
		}
		if c.name == "orphans" { // of another machine
			if err := os.Rename(filepath.Join(v.dir, ".tfbake"), filepath.Join(v.dir, "elsewhere")); err != nil {
				t.Fatal(err)
			}
		}
		for _, now := range []struct {
			ahead time.Duration
			says  string
		}{{25 * time.Hour, c.fast}, {-25 * time.Hour, c.slow}, {0, c.slow}} {
			v.setClock(now.ahead)
			if r := v.timed(c.cleanup...); r.code != exitOK || !strings.Contains(r.stderr, now.says) {
				t.Errorf("clock %s: exit code %d, want %q:\n%s", now.ahead, r.code, now.says, r.stderr)
			}
			if len(v.cloud.Inventory().Servers) != 1 {
				t.Fatalf("clock %s: the server is gone", now.ahead)
			}
		}
		v.setClock(3 * time.Hour) // time passes, for the cloud as well
		v.cloud.SetClock(3 * time.Hour)
		if r := v.timed(c.cleanup...); r.code != exitOK {
			t.Errorf("three hours later: exit code %d:\n%s", r.code, r.stderr)
		}
		v.expect(1)
	})
}

// TestClockJumpsOfficialProvider: the official provider signs with this machine's time, so that it fails after a jump. The error
// names the clock, and the way down ends without it. For the provider's sake it is the cloud's clock that jumps here.
func TestClockJumpsOfficialProvider(t *testing.T) {
	if os.Getenv("TFBAKE_KILL_PROVIDER") != officialProvider {
		t.Skip("TFBAKE_KILL_PROVIDER=official")
	}
	t.Parallel()
	type try struct {
		template, at string
		ahead        time.Duration
		code, images int
	}
	var tries []try
	var names []string
	for i, template := range []string{"vpc-kvm-disk", "classic"} {
		for j, c := range []try{
			{at: "apply", code: exitInfra},
			{at: "provisioning", code: exitOK, images: 1}, // what is left to do is tfbake's
			{at: "way-down", code: exitOK, images: 1},
		} {
			c.template, c.ahead = template, jumps[(i+j)%2]
			tries, names = append(tries, c), append(names, fmt.Sprintf("%s/%s/%s", template, c.at, c.ahead))
		}
	}
	together(t, 2, names, func(t *testing.T, i int) {
		c := tries[i]
		v := newVictim(t, lingering[c.template])
		v.cloud.SetLatency(unhurried())
		p := v.start("run", "bake.json")
		stepNamed(moments(), c.at).wait(p)
		v.cloud.SetClock(-c.ahead)
		r := p.wait()
		if r.code != c.code || !strings.Contains(r.stderr, aheadText(c.ahead)+", and calls signed with it are refused") {
			t.Errorf("exit code %d, want %d:\n%s", r.code, c.code, r.stderr)
		}
		v.expectOnly(c.images)
	})
}
