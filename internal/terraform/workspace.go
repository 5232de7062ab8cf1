package terraform

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"
)

// Workspaces lists the workspaces of the backend, default included. It needs an initialised directory.
func (t *Terraform) Workspaces(ctx context.Context) (names []string, err error) {
	_, err = t.run(ctx, "workspace list", func(ctx context.Context, tf *tfexec.Terraform, _ *lines) (err error) {
		names, _, err = tf.WorkspaceList(ctx)
		return err
	})
	return names, err
}

// SelectWorkspace makes an existing workspace the one that the directory works in.
func (t *Terraform) SelectWorkspace(ctx context.Context, name string) error {
	_, err := t.run(ctx, "workspace select", func(ctx context.Context, tf *tfexec.Terraform, _ *lines) error {
		return tf.WorkspaceSelect(ctx, name)
	})
	return err
}

// workspaceTries is how often a workspace is looked for and made: backends lock while they make one, and refuse a second.
const workspaceTries = 5

// UseWorkspace is SelectWorkspace for one that may have to be made.
func (t *Terraform) UseWorkspace(ctx context.Context, name string) error {
	for try := 1; ; try++ {
		names, err := t.Workspaces(ctx)
		if err != nil {
			return err
		}
		if slices.Contains(names, name) {
			return t.SelectWorkspace(ctx, name)
		}
		_, err = t.run(ctx, "workspace new", func(ctx context.Context, tf *tfexec.Terraform, _ *lines) error {
			return tf.WorkspaceNew(ctx, name, tfexec.LockTimeout(lockTimeout(t.o)))
		})
		if err == nil || try == workspaceTries || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 300 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// DeleteWorkspace deletes a workspace with whatever its state holds; one that is not there is no error. It must not be
// the one the directory works in.
func (t *Terraform) DeleteWorkspace(ctx context.Context, name string) error {
	names, err := t.Workspaces(ctx)
	if err != nil || !slices.Contains(names, name) {
		return err
	}
	_, err = t.run(ctx, "workspace delete", func(ctx context.Context, tf *tfexec.Terraform, _ *lines) error {
		return tf.WorkspaceDelete(ctx, name, tfexec.Force(true), tfexec.Lock(true), tfexec.LockTimeout(lockTimeout(t.o)))
	})
	return err
}

// PullState returns the state as it is kept; empty when there is none yet.
func (t *Terraform) PullState(ctx context.Context) (state []byte, err error) {
	_, err = t.run(ctx, "state pull", func(ctx context.Context, tf *tfexec.Terraform, _ *lines) error {
		s, err := tf.StatePull(ctx)
		state = []byte(strings.TrimSpace(s))
		return err
	})
	return state, err
}

// PushStateLocked makes the state in file the current one, under the backend's lock, for which it waits that long.
// terraform refuses a state whose serial is not above the current one's; *ConflictError says so.
func (t *Terraform) PushStateLocked(ctx context.Context, file string, wait time.Duration) error {
	_, err := t.run(ctx, "state push", func(ctx context.Context, tf *tfexec.Terraform, _ *lines) error {
		// terraform-exec does not lock here unless told to.
		return tf.StatePush(ctx, file, tfexec.Lock(true), tfexec.LockTimeout(fmt.Sprintf("%ds", int(wait/time.Second))))
	})
	if err != nil && conflict.MatchString(err.Error()) {
		return &ConflictError{err}
	}
	return err
}

// ForceUnlock breaks a lock by its id.
func (t *Terraform) ForceUnlock(ctx context.Context, id string) error {
	_, err := t.run(ctx, "force-unlock", func(ctx context.Context, tf *tfexec.Terraform, _ *lines) error {
		return tf.ForceUnlock(ctx, id)
	})
	return err
}

// ConflictError says that somebody else has written the state meanwhile.
type ConflictError struct{ err error }

func (e *ConflictError) Error() string { return e.err.Error() }
func (e *ConflictError) Unwrap() error { return e.err }

// conflict is how terraform refuses a state that is not newer than the one there. Source: Terraform's
// internal/states/statemgr, the same in OpenTofu.
var conflict = regexp.MustCompile(`cannot import state with serial \d+ over newer state|cannot overwrite existing state with serial \d+|cannot import state with lineage`)

// Lock is what terraform says of a state's lock; what it does not say is empty.
type Lock struct {
	ID, Who, Operation string
	Created            time.Time
}

// createdFormat is how terraform prints when a lock was taken.
const createdFormat = "2006-01-02 15:04:05.999999999 -0700 MST"

var (
	lockLine = regexp.MustCompile(`(?m)^[│\s]*(ID|Operation|Who|Created):[ \t]+(.+?)\s*$`)
	// Source: Terraform's internal/backend/remote-state/http/client.go.
	existingLock = regexp.MustCompile(`remote state already locked:[│\s]*ID=([0-9A-Za-z-]+)`)
	escapes      = regexp.MustCompile(`\x1b\[[0-9;]*m`)
)

// LockOf tells whether an operation failed because somebody holds the state's lock, and what is known of that lock. Not
// every backend tells the truth: pg names the one who asks, http tells nothing but the id.
func LockOf(err error) (Lock, bool) {
	var e *Error
	if !errors.As(err, &e) {
		return Lock{}, false
	}
	all := e.Output
	for _, d := range e.Diagnostics {
		all += "\n" + d.Summary + "\n" + d.Detail
	}
	all = escapes.ReplaceAllString(all, "")
	if !strings.Contains(all, "Error acquiring the state lock") {
		return Lock{}, false
	}
	var l Lock
	for _, m := range lockLine.FindAllStringSubmatch(all, -1) {
		switch m[1] {
		case "ID":
			l.ID = m[2]
		case "Who":
			l.Who = m[2]
		case "Operation":
			l.Operation = m[2]
		case "Created":
			l.Created, _ = time.Parse(createdFormat, m[2])
		}
	}
	if m := existingLock.FindStringSubmatch(all); m != nil {
		l = Lock{ID: m[1]} // http: the rest is about the one who asks
	}
	return l, true
}
