package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/shared"
	"github.com/tfbake/tfbake/internal/sweep"
)

// cleanupFlags are the flags of `tfbake cleanup`.
type cleanupFlags struct {
	cloudFlags
	all, orphans, dryRun bool
	unlock               bool
	olderThan            time.Duration
	region, site         string
}

func cmdCleanup(ctx context.Context, a *app, args []string) error {
	f := a.flags("cleanup", "[RUN…]", "Destroys what runs left in the cloud: those named, or with -all every run here that is over or dead. Kept runs stay\nuntil their time is up, unless named. -orphans looks for runs whose directories are gone, by the names of what they\nmade. Finished images stay; nothing that is not a run's is touched. It may be repeated.")
	var o cleanupFlags
	o.register(f, a.getenv)
	f.BoolVar(&o.all, "all", false, "all runs here")
	f.BoolVar(&o.orphans, "orphans", false, "ask the account for what bears a run's name and has no run directory here")
	f.DurationVar(&o.olderThan, "older-than", 0, "only runs begun longer ago than this, such as 2h; with -orphans at least 1h unless set, for another machine may be baking")
	f.BoolVar(&o.unlock, "unlock", false, unlockUsage)
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be destroyed")
	f.BoolVar(&o.local, "local", false, "with -orphans: in the simulated cloud")
	f.StringVar(&o.region, "region", a.getenv("NCLOUD_REGION"), "with -orphans: the region")
	f.StringVar(&o.site, "site", a.getenv("NCLOUD_SITE"), "with -orphans: public, gov or fin")
	keepDir := f.Bool("keep-dir", false, "leave the run directories")
	names, err := f.parse(args, 0, 1000)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if (len(names) == 0) == (!o.all && !o.orphans) && len(names) == 0 || len(names) > 0 && (o.all || o.orphans) {
		f.Usage()
		return failWith(exitUsage, errors.New("cleanup takes runs, or -all, or -orphans"))
	}
	var errs []error
	if o.orphans {
		errs = append(errs, a.cleanupOrphans(ctx, o))
	}
	dirs, err := a.runsToClean(ctx, names, o)
	if err != nil {
		if orphans := errors.Join(errs...); orphans != nil {
			return failWith(exitLeftovers, errors.Join(orphans, err))
		}
		return err
	}
	if o.all && len(dirs) == 0 {
		a.story.Info("no run to clean up in %s", a.runsDir)
	}
	for _, dir := range dirs {
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		err := a.cleanupRun(ctx, dir, o, *keepDir)
		if o.all && isTaken(err) {
			a.story.Info("%s", err) // it was taken a moment ago
			continue
		}
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	if err != nil {
		return failWith(exitLeftovers, err)
	}
	return nil
}

// isTaken tells whether a run could not be had because another tfbake works on it, here or on another machine.
func isTaken(err error) bool {
	var there *shared.BusyError
	var here *journal.LockedError
	return errors.As(err, &there) || errors.As(err, &here)
}

// runsToClean returns the directories of the named runs, or of all that nobody works on and nobody wants to keep; for those
// of other machines their ids.
func (a *app) runsToClean(ctx context.Context, names []string, o cleanupFlags) ([]string, error) {
	var dirs []string
	for _, n := range names {
		dir, err := a.findRun(n)
		if err != nil && o.backend != "" {
			dir, err = n, nil // to be looked for in the backend
		}
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	if !o.all {
		return dirs, nil
	}
	recs, err := journal.List(a.runsDir)
	if err != nil {
		return nil, err
	}
	there, err := a.sharedRuns(ctx, o.cloudFlags)
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(slices.Clone(recs), func(r journal.Record) bool { return r.Status() != "kept" })
	_, gone := a.elsewhere(ctx, kept, o.cloudFlags)
	for _, r := range withShared(recs, there) {
		if why := leaveAlone(r.Record, o.olderThan, clock.Now(), slices.Contains(gone, r.Facts.RunID)); why != "" {
			a.story.Info("run %s: %s", r.Facts.RunID, why)
			continue
		}
		if r.Dir == "" {
			r.Dir = r.Facts.RunID
		}
		dirs = append(dirs, r.Dir)
	}
	return dirs, nil
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

func (a *app) cleanupRun(ctx context.Context, dir string, o cleanupFlags, keepDir bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := a.openRun(ctx, dir, openOptions{cloudFlags: o.cloudFlags, doing: "cleanup", unlock: o.unlock, lost: cancel})
	if err != nil {
		return err
	}
	if o.all && r.gone && leaveAlone(r.rec, o.olderThan, clock.Now(), false) != "" {
		// Another machine has removed it. If not, the backend has lost it, or is not the one that it was.
		left, err := a.left(ctx, r.rec, o)
		if err == nil && len(left) > 0 {
			a.story.Info("run %s: kept, and %d of its resources exist though its backend does not know it; name it to clean it up", r.rec.Facts.RunID, len(left))
		}
		if err != nil || len(left) > 0 {
			return errors.Join(err, r.close(ctx))
		}
	}
	if o.dryRun {
		err := a.tellLeft(ctx, r.rec, o)
		return errors.Join(err, r.forget(ctx))
	}
	// -all goes by age: this machine's clock, which may be wrong, has found it old enough, and the cloud's must find so, too.
	var tooSoon func(time.Time) string
	if o.all && (o.olderThan > 0 || r.rec.Status() == "kept") {
		tooSoon = func(now time.Time) string { return leaveAlone(r.rec, o.olderThan, now, r.gone) }
	}
	err = a.destroy(ctx, r.run, r.rec, o.cloudFlags, keepDir, tooSoon)
	return errors.Join(err, r.close(ctx))
}

// tellLeft prints what cleanup would destroy.
func (a *app) tellLeft(ctx context.Context, rec journal.Record, o cleanupFlags) error {
	if rec.Facts.Platform == "" {
		fmt.Fprintf(a.stdout, "run %s: nothing was created\n", rec.Facts.RunID)
		return nil
	}
	left, err := a.left(ctx, rec, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "run %s (%s): %d resources\n", rec.Facts.RunID, rec.Status(), len(left))
	for _, r := range left {
		fmt.Fprintf(a.stdout, "  %s\n", r)
	}
	return nil
}

// left asks the API what there is of a run.
func (a *app) left(ctx context.Context, rec journal.Record, o cleanupFlags) (left []sweep.Resource, err error) {
	o.local = rec.Facts.LocalDir != ""
	t, err := a.chooseTarget(ctx, o.cloudFlags, rec.Facts.LocalDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	client, err := a.clientOf(ctx, t, rec.Facts, a.story)
	if err != nil {
		return nil, err
	}
	s := sweep.Sweeper{Client: client, Platforms: []config.Platform{config.Platform(rec.Facts.Platform)}, Images: halfImages(rec)}
	return s.List(ctx, rec.Facts.Name)
}

// orphanAge is how old a run without a directory here must be before it counts as dead: longer than bakes take.
const orphanAge = time.Hour

func (a *app) cleanupOrphans(ctx context.Context, o cleanupFlags) (err error) {
	t, err := a.chooseTarget(ctx, o.cloudFlags, a.localDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	client, err := a.client(ctx, t, config.Source{Site: o.site}, a.story)
	if err != nil {
		return failWith(exitPreflight, err)
	}
	recs, err := journal.List(a.runsDir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, r := range recs {
		known[r.Facts.Name] = true
	}
	age := o.olderThan
	if age == 0 {
		age = orphanAge
	}
	var errs []error
	for _, p := range []config.Platform{config.VPC, config.Classic} {
		errs = append(errs, a.cleanupOrphansOf(ctx, client, p, known, age, o))
	}
	return errors.Join(errs...)
}

func (a *app) cleanupOrphansOf(ctx context.Context, client *ncloud.Client, p config.Platform, known map[string]bool, age time.Duration, o cleanupFlags) error {
	list := client.VPC.GetRegionList
	if p == config.Classic {
		list = client.Classic.GetRegionList
	}
	regions, err := list(ctx)
	if err != nil {
		return err
	}
	region, err := ncloud.ResolveRegion(regions, o.region)
	if err != nil {
		a.story.Info("%s: %s", p, err)
		return nil // a region of the other platform only
	}
	s := sweep.Sweeper{Client: client.In(region), Platforms: []config.Platform{p}, Log: a.story.Info}
	found, err := s.Orphans(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(found, func(name string, _ []sweep.Resource) bool { return known[name] })
	names := slices.Sorted(maps.Keys(found))
	there, err := a.inBackend(ctx, o.cloudFlags, names)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if slices.Contains(there, name) {
			a.story.Info("%s (%s, %s): no orphan, the backend knows it", name, p, region.Code)
			continue
		}
		if made := madeAt(name, found[name]); s.Client.Now().Sub(made) < age {
			a.story.Info("%s (%s, %s): at work less than %s ago, maybe another machine's", name, p, region.Code, age)
			continue
		}
		fmt.Fprintf(a.stdout, "%s (%s, %s): %d resources\n", name, p, region.Code, len(found[name]))
		for _, r := range found[name] {
			fmt.Fprintf(a.stdout, "  %s\n", r)
		}
		if o.dryRun {
			continue
		}
		left, err := s.Sweep(ctx, name)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s: %d resources left: %v", name, len(left), left)
		}
		errs = append(errs, err)
		a.story.Say("%s: %d resources left", name, len(left))
	}
	return errors.Join(errs...)
}

// madeAt tells when a run made something last, by the cloud's clock: that of the machine which named it may be wrong, and is asked
// only where the cloud does not say.
func madeAt(name string, found []sweep.Resource) time.Time {
	made := sweep.Newest(found)
	if made.IsZero() {
		made, _ = journal.Begun(name)
	}
	return made
}

// halfImages are the images of a run that were begun and not seen to their end.
func halfImages(rec journal.Record) []sweep.HalfImage {
	if no, name := rec.UnfinishedImage(); name != "" {
		return []sweep.HalfImage{{No: no, Name: name}}
	}
	return nil
}
