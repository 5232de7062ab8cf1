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
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/sweep"
)

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
	case errors.Is(err, ncloud.ErrNoCredentials) && c.simulatedHere():
		c.story.Say("there is nothing of run %s in the simulated cloud here, and there are no API keys to ask an account with: 0 resources left", id)
		return nil
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
	if c.local || c.simulatedHere() {
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

// simulatedHere tells whether there is a simulated cloud here that something was made in.
func (c *cleaner) simulatedHere() bool {
	_, err := os.Stat(filepath.Join(c.localDir(), "state.json"))
	return err == nil
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
	if !c.ageSet {
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
		if made := madeAt(name, all); age > 0 && client.Now().Sub(made) < age {
			c.story.Info("%s (%s): at work less than %s ago, maybe another machine's: see -older-than", name, runs[name][0].place, age)
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
