package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/shared"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/sweep"
)

// cleanupFlags are the flags of `tfbake cleanup`.
type cleanupFlags struct {
	cloudFlags
	all, orphans, dryRun bool
	unlock, keepDir      bool
	olderThan            time.Duration
	region, site         string
}

const sameAccountUsage = "these API keys are of the account that the run was begun in, though they are others and show nothing of it"

func cmdCleanup(ctx context.Context, a *app, args []string) error {
	f := a.flags("cleanup", "[RUN…]", "Destroys what runs left in the cloud: those named, or with -all every run here that is over or dead. Kept runs stay\nuntil their time is up, unless named. -orphans looks for runs whose directories are gone, by the names of what they\nmade. Finished images stay; nothing that is not a run's is touched. It may be repeated.")
	var o cleanupFlags
	o.register(f, a.getenv)
	f.BoolVar(&o.all, "all", false, "all runs here")
	f.BoolVar(&o.orphans, "orphans", false, "ask the account for what bears a run's name and has no run directory here")
	f.DurationVar(&o.olderThan, "older-than", 0, "with -all: only runs begun longer ago than this, such as 2h; with -orphans at least 1h unless set, for another machine may be baking")
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
	switch {
	case len(names) == 0 && !o.all && !o.orphans, len(names) > 0 && (o.all || o.orphans):
		f.Usage()
		return failWith(exitUsage, errors.New("cleanup takes runs, or -all, or -orphans"))
	case o.olderThan < 0:
		return failWith(exitUsage, fmt.Errorf("-older-than %s: a time that is to have passed is not negative", o.olderThan))
	case o.olderThan > 0 && len(names) > 0:
		return failWith(exitUsage, errors.New("-older-than goes with -all or -orphans: a run that is named is cleaned up whatever its age"))
	}
	c := &cleaner{app: a, cleanupFlags: o, doing: "cleanup"}
	if o.orphans {
		c.note(c.cleanOrphans(ctx), exitLeftovers)
	}
	dirs, err := a.runsToClean(ctx, names, o)
	if err != nil {
		c.note(err, exitFailed)
		return c.end()
	}
	if o.all && len(dirs) == 0 {
		a.story.Info("no run to clean up in %s", a.runsDir)
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
// of other machines their ids.
func (a *app) runsToClean(ctx context.Context, names []string, o cleanupFlags) ([]string, error) {
	var dirs []string
	for _, n := range names {
		dir, err := a.findRun(n)
		if err != nil && (o.backend != "" || wholeID(n) != "") {
			dir, err = n, nil // to be looked for in the backend, or in the cloud
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

// wholeID is the run id that a word is, if as a path or a resource's name; "" when it is none.
func wholeID(word string) string {
	if id := config.RunID(filepath.Base(word)); journal.IsRunID(id) {
		return id
	}
	return ""
}

// cleanGone removes what bears the name of a run that has no directory here: the user has named it in full.
func (c *cleaner) cleanGone(ctx context.Context, id string) error {
	c.story.Info("run %s has no directory in %s: asking the API for what bears its name", id, c.runsDir)
	rec := journal.Record{Facts: journal.Facts{RunID: id, Name: config.RunName(id)}}
	found, left, err := c.byName(ctx, rec)
	switch {
	case c.dryRun || notAsked(err):
		return err
	case err == nil && found == 0:
		c.story.Say("there is nothing of run %s: 0 resources left", id)
		return nil
	}
	return c.tell(c.story, id, left, err)
}

// byName removes all that bears a run's name, where it was made not being known: in the simulated cloud here, or else in the
// account, on both platforms, in every region. found is how much there was. With -dry-run it only prints it.
func (c *cleaner) byName(ctx context.Context, rec journal.Record) (found int, left []string, err error) {
	_, notHere := os.Stat(filepath.Join(c.localDir(), "state.json"))
	if c.local || notHere == nil {
		t, err := c.simulation(ctx, c.localDir())
		if err != nil {
			return 0, nil, err
		}
		found, left, err = c.byNameIn(ctx, t, rec)
		if err = errors.Join(err, t.close()); err != nil || found > 0 || c.local {
			return found, left, err
		}
	}
	found, left, err = c.byNameIn(ctx, c.account(), rec)
	if errors.Is(err, ncloud.ErrNoCredentials) {
		err = fmt.Errorf("%w; or say -local, if it was a run of -local", err)
	}
	return found, left, err
}

func (c *cleaner) byNameIn(ctx context.Context, t *target, rec journal.Record) (found int, left []string, err error) {
	name := rec.Facts.Name
	client, places, err := c.places(ctx, t)
	if err != nil {
		return 0, nil, err
	}
	defer client.Close()
	told := map[string]bool{}
	err = each(ctx, places, func(p place) error {
		s := sweep.Sweeper{Client: p.client, Platforms: []config.Platform{p.platform}, Images: unfinishedImages(rec), Disks: rec.Disks(), Settle: afterDeath, Log: c.story.Info}
		there, err := s.List(ctx, name)
		if err != nil || len(there) == 0 {
			return err
		}
		found += len(there)
		if c.dryRun {
			p.print(c.stdout, name, once(there, told))
			return nil
		}
		still, err := s.Sweep(ctx, name)
		for _, r := range still {
			left = append(left, r.String())
		}
		return err
	})
	if c.dryRun && found == 0 && err == nil {
		fmt.Fprintf(c.stdout, "run %s: 0 resources\n", rec.Facts.RunID)
	}
	if err != nil {
		err = &bake.UnknownError{RunID: rec.Facts.RunID, Err: err}
	}
	return found, left, err
}

// place is where resources may be: a region of a platform.
type place struct {
	platform config.Platform
	region   ncloud.Region
	client   *ncloud.Client
}

func (p place) String() string { return fmt.Sprintf("%s, %s", p.platform, p.region.Code) }

func (p place) print(w io.Writer, name string, there []sweep.Resource) {
	if len(there) == 0 {
		return
	}
	fmt.Fprintf(w, "%s (%s): %d resources\n", name, p, len(there))
	for _, r := range there {
		fmt.Fprintf(w, "  %s\n", r)
	}
}

// once leaves out the login keys that were told, and notes the others: one is to be seen from every region.
func once(there []sweep.Resource, told map[string]bool) []sweep.Resource {
	return slices.DeleteFunc(slices.Clone(there), func(r sweep.Resource) bool {
		seen := told[r.Name]
		told[r.Name] = told[r.Name] || r.Kind == sweep.LoginKey
		return seen && r.Kind == sweep.LoginKey
	})
}

// notAsked tells whether an error kept the API from being asked: of keys or words of the user's.
func notAsked(err error) bool {
	var unknown *bake.UnknownError
	return err != nil && !errors.As(err, &unknown)
}

// places are all there are in a cloud, or those that -region leaves.
func (c *cleaner) places(ctx context.Context, t *target) (client *ncloud.Client, out []place, err error) {
	client, err = c.client(ctx, t, config.Source{Site: c.site}, c.story)
	if err != nil {
		return nil, nil, failWith(exitPreflight, err)
	}
	var unknown, refused error
	for _, p := range []config.Platform{config.VPC, config.Classic} {
		regions, err := client.On(string(p)).GetRegionList(ctx)
		if ncloud.IsAuth(err) { // as of an account without Classic
			refused = err
			continue
		}
		if err != nil {
			return client, nil, failWith(exitLeftovers, err)
		}
		if c.region != "" {
			r, err := ncloud.ResolveRegion(regions, c.region)
			if err != nil {
				unknown = err // of the other platform only, perhaps
				continue
			}
			regions = []ncloud.Region{r}
		}
		for _, r := range regions {
			out = append(out, place{p, r, client.In(r)})
		}
	}
	switch {
	case len(out) > 0:
		return client, out, nil
	case unknown != nil:
		return client, nil, failWith(exitUsage, unknown)
	}
	return client, nil, failWith(exitPreflight, refused)
}

// each does something in every place. A platform that the keys may not look at anywhere is left out, unless that leaves none.
func each(ctx context.Context, places []place, do func(place) error) error {
	failed, seen := map[config.Platform][]error{}, map[config.Platform]bool{}
	for _, p := range places {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := do(p); err != nil {
			failed[p.platform] = append(failed[p.platform], fmt.Errorf("%s: %w", p, err))
		} else {
			seen[p.platform] = true
		}
	}
	var errs []error
	for p, of := range failed {
		if len(seen) > 0 && !seen[p] && !slices.ContainsFunc(of, func(err error) bool { return !ncloud.IsAuth(err) }) {
			continue
		}
		errs = append(errs, of...)
	}
	return errors.Join(errs...)
}

// orphanAge is how old a run without a directory here must be before it counts as dead: longer than bakes take.
const orphanAge = time.Hour

func (c *cleaner) cleanOrphans(ctx context.Context) (err error) {
	t, err := c.chooseTarget(ctx, c.cloudFlags, c.localDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	client, places, err := c.places(ctx, t)
	if err != nil {
		return err
	}
	defer client.Close()
	recs, err := journal.List(c.runsDir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, r := range recs {
		known[r.Facts.Name] = true
	}
	age := c.olderThan
	if age == 0 {
		age = orphanAge
	}
	// All of a run is looked at before it is taken for dead: its login key is to be seen from regions where it does nothing.
	runs := map[string][]orphan{}
	err = each(ctx, places, func(p place) error {
		s := &sweep.Sweeper{Client: p.client, Platforms: []config.Platform{p.platform}, Log: c.story.Info}
		found, err := s.Orphans(ctx)
		for name, there := range found {
			if !known[name] {
				runs[name] = append(runs[name], orphan{p, s, there})
			}
		}
		return err
	})
	if err != nil {
		return failWith(exitLeftovers, err)
	}
	names := slices.Sorted(maps.Keys(runs))
	there, err := c.inBackend(ctx, c.cloudFlags, names)
	if err != nil {
		return failWith(exitLeftovers, err)
	}
	var errs []error
	left, young := 0, 0
	for _, name := range names {
		if slices.Contains(there, name) {
			c.story.Info("%s: no orphan, the backend knows it", name)
			continue
		}
		var all []sweep.Resource
		for _, o := range runs[name] {
			all = append(all, o.found...)
		}
		if c.region != "" && !slices.ContainsFunc(all, func(r sweep.Resource) bool { return r.Kind != sweep.LoginKey }) {
			c.story.Info("%s: only its login key, which is to be seen from every region: the run may be at work in another", name)
			young++
			continue
		}
		if made := madeAt(name, all); client.Now().Sub(made) < age {
			c.story.Info("%s (%s): at work less than %s ago, maybe another machine's", name, runs[name][0].place, age)
			young++
			continue
		}
		told := map[string]bool{}
		for _, o := range runs[name] {
			found := once(o.found, told)
			o.print(c.stdout, name, found)
			if c.dryRun || len(found) == 0 {
				continue
			}
			still, err := o.sweeper.Sweep(ctx, name)
			if err == nil && len(still) > 0 {
				err = fmt.Errorf("%s: still there: %v", name, still)
			}
			errs = append(errs, err)
			left += len(still)
		}
	}
	c.left += left
	if err := errors.Join(errs...); err != nil {
		c.story.Error("%s", err)
		if left > 0 {
			c.story.Error("%d resources left", left)
		} else {
			c.unknown++
			c.story.Error("what is left is not known: `tfbake cleanup -orphans` asks again")
		}
		return &exitError{code: exitLeftovers}
	}
	switch {
	case c.dryRun:
	case young > 0:
		c.story.Say("0 resources left of dead runs; %s may be at work", count(young, "run"))
	default:
		c.story.Say("0 resources left")
	}
	return nil
}

// orphan is what a run without a directory has in one place.
type orphan struct {
	place
	sweeper *sweep.Sweeper
	found   []sweep.Resource
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

// unfinishedImages are the images of a run that were begun and not seen to their end.
func unfinishedImages(rec journal.Record) []snapshot.Begun {
	if i, ok := rec.UnfinishedImage(); ok {
		return []snapshot.Begun{begunImage(rec, i)}
	}
	return nil
}

func begunImage(rec journal.Record, i journal.BegunImage) snapshot.Begun {
	return snapshot.Begun{No: i.No, Name: i.Name, ServerNo: i.ServerNo, Run: rec.Facts.Name}
}
