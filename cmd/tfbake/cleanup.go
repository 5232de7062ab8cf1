package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/shared"
	"github.com/tfbake/tfbake/internal/sweep"
)

// cleanupFlags are the flags of `tfbake cleanup`.
type cleanupFlags struct {
	cloudFlags
	all, orphans, dryRun bool
	unlock, keepDir      bool
	olderThan            time.Duration
	ageSet               bool // -older-than was given, if as 0s
	region, site         string
}

const sameAccountUsage = "these API keys are of the account that the run was begun in, though they are others and show nothing of it"

func cmdCleanup(ctx context.Context, a *app, args []string) error {
	f := a.flags("cleanup", "[RUN…]", "Destroys what runs left in the cloud: those named, or with -all every run here that is over or dead. Kept runs stay\nuntil their time is up, unless named. -orphans looks for runs whose directories are gone, by the names of what they\nmade. Finished images stay; nothing that is not a run's is touched. It may be repeated.")
	var o cleanupFlags
	o.register(f, a.getenv)
	f.BoolVar(&o.all, "all", false, "all runs here")
	f.BoolVar(&o.orphans, "orphans", false, "ask the account for what bears a run's name and has no run directory here")
	f.DurationVar(&o.olderThan, "older-than", 0, "with -all: only runs begun longer ago than this, such as 2h; with -orphans 1h unless set, for another machine may be baking")
	f.BoolVar(&o.unlock, "unlock", false, unlockUsage)
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be destroyed")
	f.BoolVar(&o.local, "local", false, "look for runs without a directory in the simulated cloud")
	f.BoolVar(&o.sameAccount, "same-account", false, sameAccountUsage)
	f.StringVar(&o.region, "region", "", "look for runs without a directory in this region; default all")
	f.StringVar(&o.site, "site", a.getenv("NCLOUD_SITE"), "look for runs without a directory in public, gov or fin")
	f.BoolVar(&o.keepDir, "keep-dir", false, "leave the run directories")
	names, err := f.parse(args, 0, 1000)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	f.Visit(func(g *flag.Flag) { o.ageSet = o.ageSet || g.Name == "older-than" })
	switch {
	case len(names) == 0 && !o.all && !o.orphans:
		return f.misused(errors.New("cleanup is not told which runs: name them, or say -all or -orphans"))
	case len(names) > 0 && o.all:
		return f.misused(errors.New("cleanup takes runs or -all, not both"))
	case len(names) > 0 && o.orphans:
		return f.misused(errors.New("cleanup takes runs or -orphans, not both"))
	case o.olderThan < 0:
		return failWith(exitUsage, fmt.Errorf("-older-than %s: a time that is to have passed is not negative", o.olderThan))
	case o.ageSet && len(names) > 0:
		return failWith(exitUsage, errors.New("-older-than goes with -all or -orphans: a run that is named is cleaned up whatever its age"))
	}
	c := &cleaner{app: a, cleanupFlags: o, doing: "cleanup"}
	dirs, kept, err := a.runsToClean(ctx, names, o)
	switch {
	case err != nil:
	case len(kept) > 0:
		a.story.Info("%s may cost money: `tfbake cleanup %s`", count(len(kept), "kept run"), strings.Join(kept, " "))
	case o.all && len(dirs) == 0:
		a.story.Info("no run to clean up in %s", a.runsDir)
	}
	if o.orphans { // after what is told of the runs here, for its last line says what is left
		c.note(c.cleanOrphans(ctx), exitLeftovers)
	}
	if err != nil {
		c.note(err, exitFailed)
		return c.end()
	}
	c.several = o.orphans && len(dirs) > 0 || len(dirs) > 1
	for _, dir := range dirs {
		if ctx.Err() != nil {
			c.note(context.Cause(ctx), exitLeftovers)
			break
		}
		err := c.cleanRun(ctx, dir)
		if o.all && isTaken(err) {
			a.story.Info("%s", err) // it was taken a moment ago
			continue
		}
		c.note(err, exitFailed)
	}
	return c.end()
}

// cleaner cleans up after runs, and sums up what is left of them.
type cleaner struct {
	*app
	cleanupFlags
	doing   string
	several bool // runs are looked at: the last line is of all of them

	left, unknown int // resources; runs of which it is not known
	code          int
	errs          []error // to be told
}

// note takes an error up for the end. code is for one that has none.
func (c *cleaner) note(err error, code int) {
	if err == nil {
		return
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{code: code, err: err}
	}
	if c.code = worse(c.code, e.code); e.err != nil {
		c.errs = append(c.errs, err)
	}
}

// end tells the errors that were not told yet, and what is left.
func (c *cleaner) end() error {
	err := errors.Join(c.errs...)
	if c.several && !c.dryRun {
		if err != nil {
			c.story.Error("%s", err)
			err = nil
		}
		switch {
		case c.unknown > 0:
			c.story.Error("%d resources left, and what is left of %s is not known", c.left, count(c.unknown, "run"))
		case c.code == exitOK || c.left > 0:
			c.story.Say("%d resources left in all", c.left)
		}
	}
	if c.code == exitOK {
		return nil
	}
	return &exitError{code: c.code, err: err}
}

// isTaken tells whether a run could not be had because another tfbake works on it, here or on another machine.
func isTaken(err error) bool {
	var there *shared.BusyError
	var here *journal.LockedError
	return errors.As(err, &there) || errors.As(err, &here)
}

// runsToClean returns the directories of the named runs, or of all that nobody works on and nobody wants to keep; for those
// of other machines their ids. kept are the ids of those that -all leaves alone though they are there.
func (a *app) runsToClean(ctx context.Context, names []string, o cleanupFlags) (dirs, kept []string, err error) {
	for _, n := range names {
		dir, err := a.findRun(n)
		if err != nil && (o.backend != "" || wholeID(n) != "") {
			dir, err = n, nil // to be looked for in the backend, or in the cloud
		}
		if err != nil {
			return nil, nil, err
		}
		dirs = append(dirs, dir)
	}
	if !o.all {
		return dirs, nil, nil
	}
	recs, err := journal.List(a.runsDir)
	if err != nil {
		return nil, nil, err
	}
	there, err := a.sharedRuns(ctx, o.cloudFlags)
	if err != nil {
		return nil, nil, err
	}
	keptHere := slices.DeleteFunc(slices.Clone(recs), func(r journal.Record) bool { return r.Status() != "kept" })
	_, gone := a.elsewhere(ctx, keptHere, o.cloudFlags)
	for _, r := range withShared(recs, there) {
		if why := leaveAlone(r.Record, o.olderThan, clock.Now(), slices.Contains(gone, r.Facts.RunID)); why != "" {
			a.story.Info("run %s: %s", r.Facts.RunID, why)
			if r.Status() == "kept" && !slices.Contains(gone, r.Facts.RunID) {
				kept = append(kept, r.Facts.RunID)
			}
			continue
		}
		if r.Dir == "" {
			r.Dir = r.Facts.RunID
		}
		dirs = append(dirs, r.Dir)
	}
	return dirs, kept, nil
}

// leaveAlone says why cleanup -all leaves a run as it is, "" when it does not. gone: another machine has removed what was
// kept.
func leaveAlone(r journal.Record, olderThan time.Duration, now time.Time, gone bool) string {
	switch until := r.KeptUntil(); {
	case r.Working:
		return "a tfbake is working on it"
	case olderThan > 0 && now.Sub(r.Facts.Started) < olderThan:
		return "younger than " + olderThan.String()
	case gone:
		return ""
	case r.Status() == "kept" && until.IsZero():
		return "kept; name it to clean it up"
	case r.Status() == "kept" && now.Before(until):
		return "kept until " + until.Local().Format(time.DateTime)
	}
	return ""
}

func (c *cleaner) cleanRun(ctx context.Context, dir string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := c.openRun(ctx, dir, openOptions{cloudFlags: c.cloudFlags, doing: c.doing, unlock: c.unlock, lost: cancel})
	if id := wholeID(dir); id != "" && errors.Is(err, errNoRun) {
		return c.cleanGone(ctx, id)
	}
	if err != nil {
		return err
	}
	if c.all && r.gone && leaveAlone(r.rec, c.olderThan, clock.Now(), false) != "" {
		// Another machine has removed it. If not, the backend has lost it, or is not the one that it was.
		left, err := c.leftOf(ctx, r.rec)
		if err == nil && len(left) > 0 {
			c.story.Info("run %s: kept, and %d of its resources exist though its backend does not know it; name it to clean it up", r.rec.Facts.RunID, len(left))
		}
		if err != nil || len(left) > 0 {
			return errors.Join(err, r.close(ctx))
		}
	}
	if c.dryRun {
		err := c.tellLeft(ctx, r.rec)
		return errors.Join(err, r.forget(ctx))
	}
	// -all goes by age: this machine's clock, which may be wrong, has found it old enough, and the cloud's must find so, too.
	var tooSoon func(time.Time) string
	if c.all && (c.olderThan > 0 || r.rec.Status() == "kept") {
		tooSoon = func(now time.Time) string { return leaveAlone(r.rec, c.olderThan, now, r.gone) }
	}
	err = c.destroy(ctx, r.run, r.rec, tooSoon)
	return errors.Join(err, r.close(ctx))
}

// tellLeft prints what cleanup would destroy.
func (c *cleaner) tellLeft(ctx context.Context, rec journal.Record) error {
	switch {
	case rec.Lost() && rec.Bare(), !rec.Created():
		fmt.Fprintf(c.stdout, "run %s: nothing was created\n", rec.Facts.RunID)
		return nil
	case rec.Lost():
		_, _, err := c.byName(ctx, rec)
		return err
	}
	left, err := c.leftOf(ctx, rec)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "run %s (%s): %d resources\n", rec.Facts.RunID, rec.Status(), len(left))
	for _, r := range left {
		fmt.Fprintf(c.stdout, "  %s\n", r)
	}
	return nil
}

// leftOf asks the API what there is of a run.
func (c *cleaner) leftOf(ctx context.Context, rec journal.Record) (left []sweep.Resource, err error) {
	o := c.cloudFlags
	o.local = rec.Facts.LocalDir != ""
	t, err := c.chooseTarget(ctx, o, rec.Facts.LocalDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	client, err := c.clientOf(ctx, t, rec.Facts, c.story)
	if err != nil {
		return nil, failWith(exitPreflight, err)
	}
	if err := c.sameAccountAs(ctx, client, rec, c.sameAccount); err != nil {
		return nil, failWith(exitLeftovers, err)
	}
	s := sweep.Sweeper{Client: client, Platforms: []config.Platform{config.Platform(rec.Facts.Platform)}, Images: unfinishedImages(rec)}
	left, err = s.List(ctx, rec.Facts.Name)
	for _, r := range s.Spared() {
		c.story.Info("%s; `tfbake resume %s` goes on with it", r, rec.Facts.RunID)
	}
	return left, err
}
