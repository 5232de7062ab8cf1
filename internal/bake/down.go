package bake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ui"
)

// downTimeout bounds the way down: terraform destroy with its waits, and the sweep after it.
const downTimeout = 45 * time.Minute

// Sweeper deletes, through the API alone, whatever bears a run's name and the image it did not finish, and returns what could
// not be deleted, one line a resource. It never touches anything else.
type Sweeper interface {
	Sweep(ctx context.Context, name string) (left []string, err error)
	// SweepStrays does the same with all but the resources whose numbers are known: those terraform destroys.
	SweepStrays(ctx context.Context, name string, known []string) (left []string, err error)
}

// UnknownError says that the API could not be asked what is left of a run.
type UnknownError struct {
	RunID string
	Err   error
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("what is left of run %s is unknown: %s", e.RunID, e.Err)
}
func (e *UnknownError) Unwrap() error { return e.Err }

// Down is the way down of a run: terraform destroy from state, then the API's word on what is left.
type Down struct {
	Infra   Infra // nil: there is no state worth asking terraform about
	Keys    Keys
	Sweeper Sweeper
	Story   *ui.Story
	Step    string // the step to note the destroying under; empty: journal.Destroy
}

// Run destroys everything of the run called name. ctx must be alive and bounded; it is not the context that ended the
// bake. It goes on after errors, for each thing destroyed is one less to pay for; only what the API still lists in the
// end decides.
func (d Down) Run(ctx context.Context, run *journal.Run, name string, ownKey bool) (left []string, err error) {
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	step := d.Step
	if step == "" {
		step = journal.Destroy
	}
	note(run.Begin(step, nil))
	if !d.infraKnows(ctx) {
		note(run.Done(step, nil))
	} else {
		d.removeStrays(ctx, name)
		d.Story.Say("terraform: destroying the server and what came with it")
		if err := d.Infra.Destroy(ctx); err != nil {
			note(run.Fail(step, firstLine(err), nil))
			d.Story.Error("terraform could not destroy everything: %s", err)
			d.Story.Info("going on through the API")
		} else {
			note(run.Done(step, nil))
		}
	}
	if ownKey {
		if err := d.Keys.Delete(ctx, name+config.KeySuffix); err != nil {
			d.Story.Info("login key %s: %s", name+config.KeySuffix, err) // the sweep tries again and has the last word
		}
	}

	note(run.Begin(journal.Sweep, nil))
	left, err = d.Sweeper.Sweep(ctx, name)
	if err != nil {
		note(run.Fail(journal.Sweep, firstLine(err), nil))
		return left, errors.Join(append(errs, &UnknownError{run.Facts.RunID, err})...)
	}
	note(run.Done(journal.Sweep, notes{"left": fmt.Sprint(len(left))}))
	if len(left) > 0 {
		return left, errors.Join(append(errs, fmt.Errorf("still there: %s", strings.Join(left, "; ")))...)
	}
	return nil, errors.Join(errs...)
}

// infraKnows tells whether terraform has something to destroy. A state that cannot be believed is its affair, too: it may
// know more than we do.
func (d Down) infraKnows(ctx context.Context) bool {
	if d.Infra == nil {
		return false
	}
	state, err := d.Infra.State(ctx)
	if err != nil {
		d.Story.Info("terraform cannot help here (%s); going on through the API", firstLine(err))
		return false
	}
	return !state.Status.Sound() || len(state.Resources) > 0
}

// TellLeft is the last word on a run: what of it is left. err is that of Run.
func TellLeft(story *ui.Story, runID string, left []string, err error) {
	var unknown *UnknownError
	switch {
	case len(left) > 0:
		story.Error("%d resources left, and they may cost money: `tfbake cleanup %s` goes on", len(left), runID)
	case errors.As(err, &unknown):
		story.Error("what is left is not known, and may cost money: `tfbake cleanup %s` asks again and removes it", runID)
	default:
		story.Say("0 resources left")
	}
}

// removeStrays deletes what is the run's and not in the state, before terraform begins: a server that was created while nobody
// wrote it down, for it holds the network interface that terraform would try in vain to delete; and the disks that came with a
// server made from an image with several, for they are not to be found any more once terraform has returned the server.
func (d Down) removeStrays(ctx context.Context, name string) {
	state, err := d.Infra.State(ctx)
	if err != nil || !state.Status.Sound() {
		return
	}
	var known []string
	for _, r := range state.Resources {
		known = append(known, r.ID)
	}
	left, err := d.Sweeper.SweepStrays(ctx, name, known)
	switch {
	case err != nil:
		d.Story.Info("could not look for what the state does not know: %s", err)
	case len(left) > 0:
		d.Story.Info("not in the state, and not to be removed yet: %s", strings.Join(left, "; "))
	}
}
