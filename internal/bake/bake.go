// Package bake is the order of the steps of one bake, and the way down. It decides nothing about terraform, SSH or the
// API; each of those is a small interface here and a package of its own.
package bake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// Preflight makes every choice of a build by asking the API, or says all that is wrong with it. Nothing is created.
type Preflight interface {
	Check(ctx context.Context, b *config.Build, runID string) (config.Resolved, error)
}

// Infra is terraform in the run directory.
type Infra interface {
	Init(ctx context.Context) error
	Apply(ctx context.Context) (terraform.Server, error)
	Destroy(ctx context.Context) error
	State(ctx context.Context) (terraform.State, error)
	// UseErroredState puts the state that terraform could not write in the place of the present one, where there is one that
	// is good, and tells whether there was.
	UseErroredState(ctx context.Context, good func(terraform.State) bool) (bool, error)
	// ForgetBrokenState puts a damaged state out of the way, once the API has said that nothing exists.
	ForgetBrokenState() error
}

// Provisioner runs the template's provisioners on the server.
type Provisioner interface {
	// from is the index of the first provisioner to run; those before it ran already.
	Provision(ctx context.Context, run *journal.Run, s terraform.Server, k LoginKey, from int) error
}

// Imager makes the image. Start returns as soon as the API has given the image a number; Wait waits until it is usable.
type Imager interface {
	Stop(ctx context.Context, s terraform.Server) error
	Start(ctx context.Context, s terraform.Server) (snapshot.Image, error)
	Wait(ctx context.Context, i snapshot.Image) error
	Share(ctx context.Context, i snapshot.Image) error
	// Find looks for an image of the run's image name, in whatever state; ok is false when there is none.
	Find(ctx context.Context) (i snapshot.Image, ok bool, err error)
}

// PostProcessor runs the template's post-processors, on this machine, once the cloud is clean again.
type PostProcessor interface {
	PostProcess(ctx context.Context, r Result) error
}

// OnError is what to do when a step fails.
type OnError string

const (
	Cleanup OnError = "cleanup" // destroy what exists; the default
	Abort   OnError = "abort"   // leave it, and say how to look at it and how to destroy it
	Ask     OnError = "ask"     // ask the person at the terminal
)

// Stage names where a bake failed, for the exit code.
type Stage string

const (
	StageUsage     Stage = "usage" // what was asked for cannot be done with the run as it is; nothing was touched
	StagePreflight Stage = "preflight"
	StageInfra     Stage = "infrastructure"
	StageProvision Stage = "provision"
	StageImage     Stage = "image"
	StagePost      Stage = "post-process"
	StageCleanup   Stage = "cleanup"
)

// Error is a failed bake: where, and why.
type Error struct {
	Stage Stage
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Result is what came of a bake.
type Result struct {
	Build     string
	RunID     string
	Dir       string // the run directory; empty when it was removed
	Plan      config.Resolved
	Server    terraform.Server // the temporary server, gone unless Kept
	Image     snapshot.Image   // No is empty when there is none
	Kept      bool             // everything was left in place, as asked
	KeptUntil time.Time        // zero: until somebody cleans it up by name
	Resumable bool             // of a kept run: resume has something to do, and can do it
	Running   bool             // of a kept run: the server is up
	Left      []string         // what still exists, by the API's word; see Down
	Elapsed   time.Duration
	Told      bool // the story has every error, and what is left unless the run is kept
}

// Baker bakes one build.
type Baker struct {
	Preflight     Preflight
	Parts         func(ctx context.Context, run *journal.Run, plan config.Resolved) (Parts, error) // made once the choices are known
	PostProcessor PostProcessor

	Story   *ui.Story
	RunsDir string
	Facts   journal.Facts       // what the caller knows: version, template, provider, endpoint
	Redact  func(string) string // takes secrets out of what the journal is told; nil: there are none
	OnError OnError
	Keep    bool          // leave everything in place, also after success
	KeepFor time.Duration // how long a kept run is to be left alone by cleanup -all; 0: as before, or until somebody cleans it up by name
	KeepDir bool          // keep the run directory of a clean run, too
	// From is the first provisioner to run of a resumed run, from 0; -1: the one that did not finish. ProvisionOnly ends
	// after the provisioners.
	From          int
	ProvisionOnly bool
	Hard          context.Context // ends when the way down, too, is to be given up
	// ApplyRetries is how often an apply that failed by what may pass is tried again. The embedded provider repeats the
	// call itself, the official one does not.
	ApplyRetries int
	// Asker asks what to do about a failed step; nil when nobody is there.
	Asker func(ctx context.Context, question string, choices string) (byte, error)
	// Variables makes the digests of the template's variables for the journal, once the choices are known; nil: none are noted.
	Variables func(ctx context.Context, runID string) (map[string]string, error)
	// Account says, in the facts, whose keys the run is begun with; see journal.AccountOf. nil: nothing.
	Account func(runID string) string
	// Time asks for the cloud's time, by which a run's age and the end of -keep-for count: this machine's clock may be wrong.
	Time func(ctx context.Context) time.Time
}

// StoryFile is the file of a run directory that holds what the user was told, secrets left out.
const StoryFile = "story.log"

// Parts are the means of one run.
type Parts struct {
	Infra       Infra
	Provisioner Provisioner
	Imager      Imager
	Keys        Keys
	Sweeper     Sweeper
	Files       func(plan config.Resolved) (render.Files, error)
	Keep        func(ctx context.Context) error // makes a kept run directory ready for the user's own terraform
	BeforeDown  func(ctx context.Context)       // called before a new run's way down begins, with the context that may have ended the bake; nil: nothing
	Close       func()                          // after the way down
}

// Run bakes one image. Whatever happens after preflight, what was created is destroyed before Run returns, unless the
// user asked to keep it; an error of the way down is joined to the first one.
func (b *Baker) Run(ctx context.Context, build *config.Build) (res Result, err error) {
	started := time.Now()
	res.Build = build.Name
	defer func() { res.Elapsed = time.Since(started) }()

	runID := journal.NewRunID(clock.Now())
	b.Story.Say("checking the template against the account: nothing is created yet")
	res.Plan, err = b.Preflight.Check(ctx, build, runID)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return res, &Error{StagePreflight, because(ctx, err)}
	}
	facts := b.facts(ctx, res.Plan, runID)
	if b.Variables != nil {
		if facts.Variables, err = b.Variables(ctx, runID); err != nil {
			return res, err
		}
	}
	run, err := journal.Create(b.RunsDir, facts, b.Redact)
	if err != nil {
		return res, fmt.Errorf("no journal, no server: %w", err)
	}
	defer run.Close()
	return b.bake(ctx, res, run, journal.Record{})
}

// Resume goes on with a run whose tfbake died or that was kept, from the step it stopped at, with the choices made then.
// The caller has opened the run and made sure that the template is the same.
func (b *Baker) Resume(ctx context.Context, build *config.Build, run *journal.Run, rec journal.Record) (res Result, err error) {
	started := time.Now()
	res.Build = build.Name
	defer func() { res.Elapsed = time.Since(started) }()

	if res.Plan, err = LoadPlan(run.Dir); err != nil {
		return res, &Error{StagePreflight, err}
	}
	if err := resumable(rec); err != nil {
		return res, &Error{StagePreflight, err}
	}
	if b.ProvisionOnly {
		if err := provisionable(rec, len(build.Steps), b.From); err != nil {
			return res, &Error{StageUsage, err}
		}
	}
	return b.bake(ctx, res, run, rec)
}

// bake is the part of a run that costs money: from the journal's first line to the proof that nothing is left, and then
// the post-processors. rec is what an earlier tfbake did of it.
func (b *Baker) bake(ctx context.Context, res Result, run *journal.Run, rec journal.Record) (Result, error) {
	res.RunID, res.Dir = run.Facts.RunID, run.Dir
	b.Story.Say("run %s: %s", res.RunID, describe(res.Plan))
	parts, err := b.Parts(ctx, run, res.Plan)
	if err != nil {
		err = because(ctx, err)
		if len(rec.Entries) == 0 {
			err = errors.Join(err, run.Remove())
		}
		return res, &Error{StageInfra, err}
	}
	defer parts.Close()

	if log, err := os.OpenFile(filepath.Join(run.Dir, StoryFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err == nil {
		defer log.Close()
		defer b.Story.Tee(log)()
	}
	s := &steps{b: b, run: run, parts: parts, plan: res.Plan, rec: life(rec), until: keptUntil(rec)}
	s.stopped = s.did(journal.Stop)
	failure := s.all(ctx, &res)
	res, err = s.finish(ctx, res, failure)
	if err == nil && res.Image.No != "" && b.PostProcessor != nil {
		if err = b.PostProcessor.PostProcess(ctx, res); err != nil {
			err = &Error{StagePost, fmt.Errorf("the image %s (%s) is finished, but a post-processor failed: %w", res.Image.Name, res.Image.No, err)}
		}
	}
	s.tellEnd(ctx, res, err)
	res.Told = true
	return res, err
}

// because adds to a failure what ended the context, where that is the reason.
func because(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, context.Cause(ctx)) {
		return err
	}
	return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
}

func (b *Baker) facts(ctx context.Context, plan config.Resolved, runID string) journal.Facts {
	f := b.Facts
	f.RunID, f.Name, f.Started = runID, plan.Name, b.Time(ctx).UTC()
	if b.Account != nil {
		f.Account = b.Account(runID)
	}
	f.Platform, f.Site = string(plan.Platform), plan.Site
	f.Region, f.RegionNo = plan.RegionCode, plan.RegionNo
	f.Hypervisor, f.ImageName = plan.Hypervisor, plan.ImageName
	return f
}

func describe(p config.Resolved) string {
	what := p.ServerImageProductCode
	switch {
	case p.MemberServerImageNo != "":
		what = "member image " + p.MemberServerImageNo
	case p.ServerImageNumber != "":
		what = "server image " + p.ServerImageNumber
	}
	size := p.ServerSpecCode
	if size == "" {
		size = p.ServerProductCode
	}
	kind := "Classic"
	if p.Platform == config.VPC {
		kind = "VPC " + p.Hypervisor
	}
	disk := ""
	if p.BlockStorageSize > 0 {
		disk = fmt.Sprintf(" with a %d GB disk", p.BlockStorageSize)
	}
	return fmt.Sprintf("image %q from %s on a %s%s (%s, %s)", p.ImageName, what, size, disk, kind, p.RegionCode)
}
