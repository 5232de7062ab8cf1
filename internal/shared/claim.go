package shared

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/tempdir"
	"github.com/tfbake/tfbake/internal/terraform"
)

// watchFor is how long an owner is watched before it counts as dead: two beats. A variable for tests.
var watchFor = 2*beatEvery + 5*time.Second

// noteLockFor is how long the lock of a note is watched before it counts as a dead one's. A variable for tests.
var noteLockFor = callTimeout

// ClaimOptions say how to take a run over.
type ClaimOptions struct {
	// Unlock breaks the hold of an owner who is not proven to be dead, and terraform's lock, after saying whose it is.
	Unlock bool
	Say    func(format string, args ...any)
	// Wait is how long to wait for a terraform that a dead tfbake left at work.
	Wait time.Duration
}

// Claim takes over a run that nobody works on, in a temporary directory. Bind it to the run directory afterwards. It fails with
// ErrNone, or a *BusyError.
func (s *Store) Claim(ctx context.Context, run string, o ClaimOptions) (*Hold, Note, error) {
	dir, remove, err := tempdir.Make()
	if err != nil {
		return nil, Note{}, err
	}
	h := &Hold{store: s, run: run, work: dir, remove: remove, owner: self(s.Doing)}
	if err := h.claim(ctx, o); err != nil {
		remove()
		return nil, Note{}, err
	}
	return h, h.note, nil
}

func (h *Hold) claim(ctx context.Context, o ClaimOptions) (err error) {
	if h.tf, err = h.store.open(ctx, h.work, h.run, false); err != nil {
		return fmt.Errorf("run %s: %w", h.run, err)
	}
	note, at, err := pull(ctx, h.tf)
	if err != nil {
		return fmt.Errorf("run %s: %w", h.run, err)
	}
	if held := note.Owner; held != nil {
		alive, sure := held.proven()
		if sure && alive || !sure && !o.Unlock && held.Alive(clock.Now()) {
			return &BusyError{Run: h.run, Owner: *held}
		}
		if !sure { // it looks dead by the clocks, or the user says so
			if note, at, err = h.watchDeath(ctx, *held, o); err != nil {
				return err
			}
		}
	}
	h.note, h.before = note, note.Owner
	if err := h.pushOver(ctx, at, o); err != nil {
		var c *terraform.ConflictError
		if errors.As(err, &c) {
			if now, _, err := pull(ctx, h.tf); err == nil && now.Owner != nil {
				return &BusyError{Run: h.run, Owner: *now.Owner}
			}
		}
		return fmt.Errorf("take over run %s: %w", h.run, err)
	}
	if err := h.waitForTerraform(ctx, o); err != nil {
		h.after = h.before // whose lock it may be, for the next who asks
		return errors.Join(err, h.Release(context.WithoutCancel(ctx)))
	}
	return nil
}

// pushOver is push for a note whose lock may be a dead one's, killed while it wrote: where locks are files or rows they stay.
// Nobody holds a note's lock longer than callTimeout: one that is watched for that long is a dead one's. How old it says it is
// tells nothing, for clocks may be wrong.
func (h *Hold) pushOver(ctx context.Context, at stamp, o ClaimOptions) error {
	var first terraform.Lock
	start := time.Now()
	began := start // of first
	for {
		err := h.push(ctx, at)
		lock, locked := terraform.LockOf(err)
		if !locked || h.store.Backend.Type == "pg" { // PostgreSQL's locks end with the connection
			return err
		}
		if first.ID != lock.ID {
			first, began = lock, time.Now()
			o.Say("somebody is writing the note of run %s; waiting, at most %s", h.run, noteLockFor)
		}
		if !o.Unlock && time.Since(began) < noteLockFor {
			if time.Since(start) > 3*noteLockFor {
				return err // the living take turns
			}
			continue
		}
		o.Say("breaking the lock that a dead tfbake left on its note of run %s: lock %s", h.run, lock.ID)
		if err := h.tf.ForceUnlock(ctx, lock.ID); err != nil {
			return err
		}
		return h.push(ctx, at)
	}
}

// watchDeath waits for a sign of life of an owner on another machine; without one within two beats it counts as dead.
func (h *Hold) watchDeath(ctx context.Context, held Owner, o ClaimOptions) (Note, stamp, error) {
	o.Say("run %s is held by %s; watching for %s whether it is alive", h.run, held, watchFor)
	select {
	case <-time.After(watchFor):
	case <-ctx.Done():
		return Note{}, stamp{}, context.Cause(ctx)
	}
	note, at, err := pull(ctx, h.tf)
	if err != nil {
		return note, at, fmt.Errorf("run %s: %w", h.run, err)
	}
	if now := note.Owner; now != nil && (now.ID != held.ID || !now.Beat.Equal(held.Beat)) {
		return note, at, &BusyError{Run: h.run, Owner: *now}
	}
	o.Say("%s gave no sign of life: breaking its hold on run %s", held, h.run)
	return note, at, nil
}

// waitForTerraform makes sure that no terraform works on the run's own state: a dead tfbake's may be finishing a create.
func (h *Hold) waitForTerraform(ctx context.Context, o ClaimOptions) error {
	lock, locked, err := h.probe(ctx, 0)
	if err != nil && ctx.Err() == nil {
		// Whoever goes on is told by terraform itself what is wrong; cleaning up does without.
		o.Say("the state of run %s cannot be asked whether a terraform works on it: %s", h.run, err)
		return nil
	}
	if err != nil || !locked {
		return err
	}
	if !o.Unlock {
		o.Say("a terraform still works on run %s (%s); waiting for it, at most %s", h.run, h.who(lock), o.Wait)
		if lock, locked, err = h.probe(ctx, o.Wait); err != nil || !locked {
			return err
		}
		if !h.orphaned(lock, clock.Now()) {
			return &LockedError{Run: h.run, Lock: lock, who: h.who(lock)}
		}
	}
	o.Say("breaking terraform's lock on run %s: %s", h.run, h.who(lock))
	if err := h.inState(ctx, func(tf *terraform.Terraform) error { return tf.ForceUnlock(ctx, lock.ID) }); err != nil {
		o.Say("terraform force-unlock: %s", err)
	}
	if lock, locked, err = h.probe(ctx, 5*time.Second); err != nil || !locked {
		return err
	}
	e := &LockedError{Run: h.run, Lock: lock, who: h.who(lock)}
	if h.store.Backend.Type == "pg" {
		e.hint = "PostgreSQL keeps the lock for as long as that terraform's connection lives: end that process, or the connection (select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory')"
	}
	return e
}

// orphaned tells whether the lock is for sure that of a terraform whose tfbake, the run's last owner, died long ago. Where
// the backend does not tell when it was taken (http, pg), it may be that of somebody who uses terraform by hand. A wrong clock
// breaks it early, as -unlock does: what that terraform still makes is found by asking the API.
func (h *Hold) orphaned(l terraform.Lock, now time.Time) bool {
	if h.before == nil || l.Created.IsZero() {
		return false
	}
	const clocks = time.Minute // may differ
	return l.Created.After(h.before.Since.Add(-clocks)) && l.Created.Before(h.before.Beat.Add(beatEvery+clocks)) && now.Sub(h.before.Beat) > orphanedAfter
}

// who tells whose a lock of terraform's is. Not every backend names it; the run's last owner is the best guess then.
func (h *Hold) who(l terraform.Lock) string {
	if l.Who != "" && h.store.Backend.Type != "pg" {
		return fmt.Sprintf("%s by %s since %s, lock %s", l.Operation, l.Who, l.Created.Local().Format(time.DateTime), l.ID)
	}
	text := "of a terraform that the backend does not name"
	if l.ID != "" && h.store.Backend.Type != "pg" {
		text = "lock " + l.ID + " " + text
	}
	if h.before != nil {
		text += "; the run's last owner: " + h.before.String()
	}
	return text
}

// inState does something in the run's own state, then returns to the note.
func (h *Hold) inState(ctx context.Context, do func(*terraform.Terraform) error) error {
	if h.store.Backend.PerKey() {
		dir, remove, err := tempdir.Make()
		if err != nil {
			return err
		}
		defer remove()
		tf, err := h.store.terraform(ctx, dir, h.run)
		if err != nil {
			return err
		}
		return do(tf)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	names, err := h.tf.Workspaces(ctx)
	if err != nil || !slices.Contains(names, stateName(h.run)) {
		return err // nothing was ever there
	}
	if err := h.tf.SelectWorkspace(ctx, stateName(h.run)); err != nil {
		return err
	}
	err = do(h.tf)
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout) // also after Ctrl-C, for Release
	defer cancel()
	return errors.Join(err, h.tf.SelectWorkspace(back, noteName(h.run)))
}

// probe takes and returns the lock of the run's own state, by writing what is there already under the next serial: with the
// same one terraform may find a difference where there is none, in the order of check results.
func (h *Hold) probe(ctx context.Context, wait time.Duration) (lock terraform.Lock, locked bool, err error) {
	err = h.inState(ctx, func(tf *terraform.Terraform) error {
		state, err := tf.PullState(ctx)
		if err != nil {
			return err
		}
		if state, err = next(state, h.store.Binary.Version, stateName(h.run)); err != nil {
			return err
		}
		file := filepath.Join(h.work, "probe.json")
		if err := os.WriteFile(file, state, 0o600); err != nil {
			return err
		}
		defer os.Remove(file)
		err = tf.PushStateLocked(ctx, file, wait)
		if l, is := terraform.LockOf(err); is {
			lock, locked = l, true
			return nil
		}
		var c *terraform.ConflictError
		if errors.As(err, &c) {
			lock, locked = terraform.Lock{}, true // somebody has just written it
			return nil
		}
		return err
	})
	return lock, locked, err
}

// BusyError says that somebody else works on the run.
type BusyError struct {
	Run   string
	Owner Owner
}

func (e *BusyError) Error() string {
	if e.Owner.ID == "" {
		return fmt.Sprintf("run %s was given up by this process, and is somebody else's now", e.Run)
	}
	if e.Owner.here() {
		return fmt.Sprintf("run %s is being worked on by %s: wait for it to end", e.Run, e.Owner)
	}
	return fmt.Sprintf("run %s is being worked on by %s: wait for it to end. If that machine is dead, its run can be taken over %s after its last sign of life, or at once with `tfbake resume -unlock %s` or `tfbake cleanup -unlock %s`, which watch whether it is alive", e.Run, e.Owner, deadAfter, e.Run, e.Run)
}

// LockedError says that a terraform holds the lock of the run's own state.
type LockedError struct {
	Run  string
	Lock terraform.Lock
	who  string
	hint string
}

func (e *LockedError) Error() string {
	hint := e.hint
	if hint == "" {
		hint = fmt.Sprintf("if that terraform is dead, `tfbake resume -unlock %s` breaks its lock and goes on, `tfbake cleanup -unlock %s` destroys", e.Run, e.Run)
	}
	return fmt.Sprintf("the state of run %s is locked (%s): %s", e.Run, e.who, hint)
}

// TakenOver says that the run is somebody else's: its own tfbake must leave it alone.
func (e *BusyError) TakenOver() bool { return true }
