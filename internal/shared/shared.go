// Package shared keeps what is known of the runs whose Terraform state is in a backend, beside that state, so that another
// machine can list, inspect, finish and clean up what a dead one left, and can tell a dead one from one at work.
//
// Every run has two states in the backend: its own, tfb-<run id>, which is terraform's alone, and a note,
// tfb-<run id>-run, whose only output holds the run's journal, its choices (plan.json), the sealed login key, and who
// works on it. The note is not an output or resource of the run's own state for three reasons: terraform holds that state's
// lock for as long as an apply takes, so nobody could be told meanwhile that the run is alive; terraform destroy empties
// it before the API has confirmed that nothing is left; and a plan of the user's would show a difference.
//
// Notes are written with `terraform state push`, which refuses a serial that is not new, under the backend's lock: of two
// machines that want a run, one gets it. Backends without locks (http without lock_address) cannot promise that.
package shared

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/provider"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/tempdir"
	"github.com/tfbake/tfbake/internal/terraform"
)

const (
	prefix = "tfb-"
	suffix = "-run"

	// beatEvery is how often a note is renewed; deadAfter how old one must be for its owner, on another machine, to be suspected
	// of being dead. Clocks may be wrong: it is watched then.
	beatEvery = 20 * time.Second
	deadAfter = 3 * time.Minute
	// callTimeout bounds one reading or writing of a note.
	callTimeout = 90 * time.Second
	// pushWait is how long a note's own lock is waited for; it is held for fractions of a second.
	pushWait = 20 * time.Second
	// orphanedAfter is how long after the last sign of life of its tfbake a terraform counts as dead, too: one that was left
	// alone finishes the create it is at, and none takes that long.
	orphanedAfter = time.Hour
)

// Names of a run's states.
func stateName(run string) string { return prefix + run }
func noteName(run string) string  { return prefix + run + suffix }

// Workspace returns the workspace of a run's own state, "" where the backend has a key per run.
func Workspace(b *config.Backend, run string) string {
	if b.PerKey() {
		return ""
	}
	return stateName(run)
}

// Arguments returns the backend block of a run's own root module.
func Arguments(b *config.Backend, run string) *render.Backend {
	return &render.Backend{Type: b.Type, Args: b.For(run), Workspace: Workspace(b, run)}
}

// Store is a backend with the notes in it.
type Store struct {
	Backend *config.Backend
	Binary  terraform.Binary
	Env     func(dir string) map[string]string // of terraform working in dir
	Log     terraform.Log
	Doing   string // the command at work, for the owner's note
	// Hard ends every terraform at once, and lets none begin any more. nil: never.
	Hard context.Context
}

// base is the context of what must be told even when the command's own has ended.
func (s *Store) base() context.Context { return cmp.Or(s.Hard, context.Background()) }

// terraform prepares a directory that holds only the backend, with the arguments for the given key.
func (s *Store) terraform(ctx context.Context, dir, key string) (*terraform.Terraform, error) {
	files, err := render.BackendOnly(&render.Backend{Type: s.Backend.Type, Args: s.Backend.For(key)})
	if err != nil {
		return nil, err
	}
	if err := render.Write(dir, files); err != nil {
		return nil, err
	}
	tf, err := terraform.New(terraform.Options{Binary: s.Binary, Dir: dir, Env: s.Env(dir), Hard: s.Hard, Reattach: noProvider()})
	if err != nil {
		return nil, err
	}
	if err := tf.Init(ctx); err != nil {
		return nil, fmt.Errorf("the %s backend: %w", s.Backend.Type, err)
	}
	return tf, nil
}

// noProvider keeps init from fetching the providers of what the state holds: it takes them to run somewhere already. Nothing
// that is done here calls one, so nobody listens there.
func noProvider() terraform.Reattach {
	none := terraform.Reattach{}
	for _, address := range provider.Addresses {
		none[address] = terraform.ReattachConfig{Protocol: "grpc", ProtocolVersion: 6, Pid: os.Getpid(), Test: true, Addr: terraform.ReattachAddr{Network: "unix", String: "none"}}
	}
	return none
}

// Listed is a run found in the backend.
type Listed struct {
	ID   string
	Note Note
	Err  error // the note cannot be read; everything else is empty
}

// ErrNoList: the backend has a key per run, and terraform cannot list keys.
var ErrNoList = errors.New("a backend with a key per run cannot be listed: name the run in full")

// Read reads the note of one run. It fails with ErrNone.
func (s *Store) Read(ctx context.Context, run string) (Note, error) {
	dir, remove, err := tempdir.Make()
	if err != nil {
		return Note{}, err
	}
	defer remove()
	tf, err := s.open(ctx, dir, run, false)
	if err != nil {
		return Note{}, err
	}
	note, _, err := pull(ctx, tf)
	return note, err
}

// List reads the notes of all runs, or of those named, oldest first. Named ones that the backend does not know are left out.
func (s *Store) List(ctx context.Context, only ...string) (runs []Listed, err error) {
	if s.Backend.PerKey() {
		return s.listKeys(ctx, only)
	}
	dir, remove, err := tempdir.Make()
	if err != nil {
		return nil, err
	}
	defer remove()
	tf, err := s.terraform(ctx, dir, "")
	if err != nil {
		return nil, err
	}
	names, err := tf.Workspaces(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		id, isNote := strings.CutSuffix(strings.TrimPrefix(name, prefix), suffix)
		if !strings.HasPrefix(name, prefix) || !isNote || len(only) > 0 && !slices.Contains(only, id) {
			continue
		}
		run := Listed{ID: id}
		if run.Err = tf.SelectWorkspace(ctx, name); run.Err == nil {
			run.Note, _, run.Err = pull(ctx, tf)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(run.Err, ErrNone) {
			continue // being made, or being deleted
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func (s *Store) listKeys(ctx context.Context, ids []string) (runs []Listed, err error) {
	if len(ids) == 0 {
		return nil, ErrNoList
	}
	for _, id := range slices.Sorted(slices.Values(ids)) {
		run := Listed{ID: id}
		if run.Note, run.Err = s.Read(ctx, id); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(run.Err, ErrNone) {
			runs = append(runs, run)
		}
	}
	return runs, nil
}

// ErrNone: the backend knows nothing of the run.
var ErrNone = errors.New("the backend knows nothing of this run")

// open selects a run's note in a directory of its own.
func (s *Store) open(ctx context.Context, dir, run string, create bool) (*terraform.Terraform, error) {
	tf, err := s.terraform(ctx, dir, run+suffix)
	if err != nil || s.Backend.PerKey() {
		return tf, err
	}
	if create {
		return tf, tf.UseWorkspace(ctx, noteName(run))
	}
	names, err := tf.Workspaces(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, noteName(run)) {
		return nil, ErrNone
	}
	return tf, tf.SelectWorkspace(ctx, noteName(run))
}

// StateIn prepares dir for looking at the state of a run with terraform. It fails with ErrNone when there is none.
func (s *Store) StateIn(ctx context.Context, dir, run string) error {
	tf, err := s.terraform(ctx, dir, run)
	if err != nil || s.Backend.PerKey() {
		return err
	}
	names, err := tf.Workspaces(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(names, stateName(run)) {
		return ErrNone
	}
	return tf.SelectWorkspace(ctx, stateName(run))
}
