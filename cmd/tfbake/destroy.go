package main

import (
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
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// destroyTimeout bounds `tfbake destroy`.
const destroyTimeout = time.Hour

func cmdDestroy(ctx context.Context, a *app, args []string) error {
	f := a.flags("destroy", "RUN", "Destroys what a run left in the cloud: a kept run, or one whose tfbake died. RUN is a run's id, the\nbeginning of one, or a run directory. A finished image stays. It may be repeated.")
	var o cloudFlags
	o.register(f, a.getenv)
	keepDir := f.Bool("keep-dir", false, "leave the run directory")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := a.openRun(ctx, rest[0], openOptions{cloudFlags: o, doing: "destroy", lost: cancel})
	if err != nil {
		return err
	}
	err = a.destroy(ctx, r.run, r.rec, o, *keepDir, nil)
	return errors.Join(err, r.close(ctx))
}

// destroy destroys a run. tooSoon, unless nil, is told the cloud's time and says why the run is to be left alone after all.
func (a *app) destroy(ctx context.Context, run *journal.Run, rec journal.Record, o cloudFlags, keepDir bool, tooSoon func(time.Time) string) (err error) {
	facts := rec.Facts
	if facts.Platform == "" {
		a.story.Say("run %s died before it created anything", facts.RunID)
		return a.removeRun(run, keepDir)
	}
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
	m := maker{app: a, target: t, provider: o.provider}
	if m.provider == "" {
		m.provider = facts.Provider
	}
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
	if err != nil || len(left) > 0 {
		return failWith(exitLeftovers, errors.Join(err, fmt.Errorf("run %s is not clean yet: `tfbake cleanup %s` goes on", facts.RunID, facts.RunID)))
	}
	if err := run.End(0, nil); err != nil {
		return err
	}
	return a.removeRun(run, keepDir)
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
	infra, stop, err := m.infra(ctx, run, config.Platform(run.Facts.Platform), client, story, nil)
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

func (a *app) removeRun(run *journal.Run, keepDir bool) error {
	if keepDir {
		return nil
	}
	return run.Remove()
}
