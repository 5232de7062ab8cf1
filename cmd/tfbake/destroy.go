package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/sweep"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// destroyTimeout bounds `tfbake destroy`.
const destroyTimeout = time.Hour

func cmdDestroy(ctx context.Context, a *app, args []string) error {
	f := a.flags("destroy", "RUN", "Destroys what a run left in the cloud: a kept run, or one whose tfbake died. RUN is a run's id, the\nbeginning of one, or a run directory. A finished image stays. It may be repeated.")
	var o cleanupFlags
	o.register(f, a.getenv)
	f.BoolVar(&o.local, "local", false, "look for a run without a directory in the simulated cloud")
	f.BoolVar(&o.sameAccount, "same-account", false, sameAccountUsage)
	f.BoolVar(&o.keepDir, "keep-dir", false, "leave the run directory")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	o.site = a.getenv("NCLOUD_SITE")
	c := &cleaner{app: a, cleanupFlags: o, doing: "destroy"}
	c.note(c.cleanRun(ctx, rest[0]), exitFailed)
	return c.end()
}

// tell tells the errors of the way down of a run, and what is left of it.
func (c *cleaner) tell(story *ui.Story, id string, left []string, err error) error {
	c.left += len(left)
	var unknown *bake.UnknownError
	if errors.As(err, &unknown) {
		c.unknown++
	}
	if err != nil {
		story.Error("%s", err)
	}
	bake.TellLeft(story, id, left, err)
	if err != nil || len(left) > 0 {
		return &exitError{code: exitLeftovers}
	}
	return nil
}

// destroy destroys a run. tooSoon, unless nil, is told the cloud's time and says why the run is to be left alone after all.
func (c *cleaner) destroy(ctx context.Context, run *journal.Run, rec journal.Record, tooSoon func(time.Time) string) (err error) {
	a, facts := c.app, rec.Facts
	if rec.Lost() {
		return c.destroyLost(ctx, run, rec)
	}
	o := c.cloudFlags
	o.local = facts.LocalDir != ""
	t, err := a.chooseTarget(ctx, o, facts.LocalDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	story := a.story.Named(facts.Build)
	client, err := a.clientOf(ctx, t, facts, story)
	if err != nil {
		return failWith(exitPreflight, err)
	}
	if tooSoon != nil {
		if why := tooSoon(client.Time(ctx)); why != "" {
			story.Info("run %s: %s, by the cloud's clock", facts.RunID, why)
			return nil
		}
	}
	if err := a.sameAccountAs(ctx, client, rec, o.sameAccount); err != nil {
		return failWith(exitLeftovers, err)
	}
	m := maker{app: a, target: t, provider: cmp.Or(o.provider, facts.Provider)}
	story.Say("destroying run %s (image %q, started %s)", facts.RunID, facts.ImageName, facts.Started.Local().Format(time.DateTime))

	settle := time.Duration(0)
	if rec.Status() == "interrupted" {
		settle = afterDeath
	}
	down := bake.Down{Keys: keys{client, config.Platform(facts.Platform)}, Sweeper: m.sweeper(run, client, story, settle), Story: story}
	infra, stop, err := m.infraOfRun(ctx, run, client, o, story)
	defer stop()
	if err != nil {
		story.Info("terraform cannot help here (%s); going on through the API", err)
	} else if infra != nil {
		down.Infra = infra
	}
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	_, ownKey := rec.Last(journal.LoginKey)
	left, err := down.Run(ctx, run, facts.Name, ownKey)
	if err == nil && len(left) == 0 {
		if err := errors.Join(run.End(0, nil), c.removeRun(run)); err != nil {
			return err
		}
	}
	return c.tell(story, facts.RunID, left, err)
}

// destroyLost destroys a run of which only the id is known.
func (c *cleaner) destroyLost(ctx context.Context, run *journal.Run, rec journal.Record) error {
	id := rec.Facts.RunID
	if rec.Bare() {
		if err := c.removeRun(run); err != nil {
			return err
		}
		c.story.Say("run %s died before it created anything: 0 resources left", id)
		return nil
	}
	c.story.Info("the journal of run %s is lost: asking the API for what bears its name", id)
	if err := waitForTerraform(ctx, run.Dir, c.story); err != nil {
		return err
	}
	found, left, err := c.byName(ctx, rec)
	if notAsked(err) {
		return err
	}
	if empty, sound, _ := terraform.StateIsEmpty(run.Dir); err == nil && found == 0 && (!empty || !sound) && !c.sameAccount {
		return failWith(exitLeftovers, fmt.Errorf("terraform's state of run %s names resources, and the account shows none of its name. If these API keys are another account's, everything may still be there: set those it was begun with (or -local, if it was a run of -local). If they are the same account's, say so: -same-account", id))
	}
	if err == nil && len(left) == 0 {
		if err := c.removeRun(run); err != nil {
			return err
		}
	}
	return c.tell(c.story, id, left, err)
}

// sameAccountAs returns an error when these may be another account's keys than the run was begun with: then nothing of it is
// to be seen, and all of it may be there. New keys of the same account show what the run has made.
func (a *app) sameAccountAs(ctx context.Context, client *ncloud.Client, rec journal.Record, sure bool) error {
	f := rec.Facts
	if sure || f.Account == "" || accountOf(ctx, client, f.RunID) == f.Account || !rec.Created() {
		return nil
	}
	if end, over := rec.Last(journal.End); over && end.Data["left"] == "0" {
		return nil // with the right keys it was seen that nothing is left
	}
	s := sweep.Sweeper{Client: client, Platforms: []config.Platform{config.Platform(f.Platform)}}
	found, err := s.List(ctx, f.Name)
	if err != nil {
		return fmt.Errorf("what is left of run %s is not known: %w", f.RunID, err)
	}
	if len(found) > 0 {
		return nil
	}
	return fmt.Errorf("run %s was begun with other API keys than the %s, and these show nothing of it. If they are another account's, everything may still be there: set the keys that the run was begun with. If they are new ones of the same account, say so: -same-account", f.RunID, client.Credentials(ctx))
}

// infraOfRun returns terraform for the run's directory, nil where its state has nothing to say.
func (m maker) infraOfRun(ctx context.Context, run *journal.Run, client *ncloud.Client, o cloudFlags, story *ui.Story) (bake.Infra, func(), error) {
	nothing := func() {}
	if err := waitForTerraform(ctx, run.Dir, story); err != nil {
		return nil, nothing, err
	}
	isShared := len(run.Facts.Backend) > 0
	if empty, _, err := terraform.StateIsEmpty(run.Dir); !isShared && (err != nil || empty) {
		return nil, nothing, err
	}
	if _, err := os.Stat(filepath.Join(run.Dir, "main.tf")); isShared && err != nil {
		return nil, nothing, nil // it died before terraform had anything to do
	}
	bin, err := m.app.findTerraform(ctx, o.terraform)
	if err != nil {
		return nil, nothing, err
	}
	m.terraform = bin
	infra, stop, err := m.infra(run, config.Platform(run.Facts.Platform), client, story, nil)
	if err != nil {
		return nil, nothing, err
	}
	if err := infra.Init(ctx); err != nil {
		return nil, stop, err
	}
	if state, err := infra.State(ctx); isShared && err == nil && state.Status.Sound() && len(state.Resources) == 0 {
		return nil, stop, nil
	}
	return infra, stop, nil
}

// waitForTerraform waits for a terraform that outlived its tfbake: it was told to stop when that died, and finishes the create
// it is at, so that the create can be destroyed.
func waitForTerraform(ctx context.Context, dir string, story *ui.Story) error {
	return terraform.WaitForPredecessor(ctx, dir, terraform.DefaultGrace, func(pid int) {
		story.Say("waiting for the terraform of the dead tfbake (process %d) to finish what it is creating", pid)
	})
}

func (c *cleaner) removeRun(run *journal.Run) error {
	if c.keepDir {
		return nil
	}
	return run.Remove()
}
