package shared

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/terraform"
)

// Hold is a run that this process works on, as the other machines see it.
type Hold struct {
	store *Store
	run   string
	work  string // directory of the note
	owner Owner
	// remove removes the temporary work directory of a claimed run, once it is bound to its own or released.
	remove func()
	// before is who held a claimed run last; nil: it had been given up.
	before *Owner
	after  *Owner // who is left in the note by Release; nil: nobody
	lost   func(error)

	mu   sync.Mutex // guards tf and note
	tf   *terraform.Terraform
	note Note
	over bool

	deleting bool

	dirty chan struct{}
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// workDir is where a run directory keeps the directory of its note.
const workDir = ".shared"

// Create makes the note of a new run and holds it. run.Dir must have the journal's first line. lost is called when
// another machine has taken the run over.
func (s *Store) Create(ctx context.Context, run *journal.Run, lost func(error)) (*Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	dir, err := filepath.Abs(run.Dir) // terraform works elsewhere
	if err != nil {
		return nil, err
	}
	h := &Hold{store: s, run: run.Facts.RunID, work: filepath.Join(dir, workDir), owner: self(s.Doing), lost: lost}
	if h.tf, err = s.open(ctx, h.work, h.run, true); err != nil {
		return nil, fmt.Errorf("share run %s: %w", h.run, err)
	}
	if err := h.read(run.Dir); err != nil {
		return nil, err
	}
	if err := h.push(ctx, stamp{}); err != nil {
		err = fmt.Errorf("share run %s: %w", h.run, err)
		if !s.Backend.PerKey() && h.tf.SelectWorkspace(ctx, "default") == nil {
			err = errors.Join(err, h.tf.DeleteWorkspace(ctx, noteName(h.run)))
		}
		return nil, err
	}
	h.begin(run)
	return h, nil
}

// Bind ties a claimed run to its directory: from here on what its journal says is told to the others. lost is called when
// another machine has taken the run over.
func (h *Hold) Bind(ctx context.Context, run *journal.Run, lost func(error)) error {
	dir, err := filepath.Abs(run.Dir)
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, workDir)
	h.mu.Lock()
	defer h.mu.Unlock()
	tf, err := h.store.open(ctx, dir, h.run, false)
	if err != nil {
		return err // Release gives the run up from the temporary directory
	}
	h.remove()
	h.work, h.lost, h.tf = dir, lost, tf
	h.begin(run)
	return nil
}

// begin starts the heart, and watches the journal.
func (h *Hold) begin(run *journal.Run) {
	ctx, stop := context.WithCancel(context.Background())
	h.stop, h.dirty = stop, make(chan struct{}, 1)
	h.done.Go(func() { h.beat(ctx, run.Dir) })
	run.Watch(func(e journal.Entry) error { return h.told(run.Dir, e) })
}

// beat renews the note at times, and soon after something was noted.
func (h *Hold) beat(ctx context.Context, dir string) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.dirty:
			select { // several notes at once
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
		// A push that is under way is finished, also when the run ends meanwhile: an interrupted one may keep the lock for a while.
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		err := h.publish(call, dir)
		cancel()
		if err != nil && ctx.Err() == nil {
			var taken *BusyError
			if errors.As(err, &taken) {
				h.lost(err)
				return
			}
			h.store.Log.Info("the shared notes of run %s could not be renewed, trying again: %s", h.run, err)
		}
	}
}

// told decides what happens to the note when the journal has a new line.
func (h *Hold) told(dir string, e journal.Entry) error {
	h.mu.Lock()
	over := h.over
	h.mu.Unlock()
	if over {
		return nil
	}
	switch {
	case e.Step == journal.End && e.Data["left"] == "0":
		// Nothing is left to look after, by the API's word.
		if err := thrice(h.store.base(), h.delete); err != nil {
			h.store.Log.Info("the shared state of run %s could not be removed, `tfbake cleanup %s` tries again: %s", h.run, h.run, err)
		}
		return nil
	case e.State == journal.Begin && (e.Step == journal.Apply || e.Step == journal.Image):
		// What others could not clean up, or not go on with, without knowing of it, is begun only when they do.
		if err := h.publishNow(dir); err != nil {
			return fmt.Errorf("tell the other machines: %w", err)
		}
	case slices.Contains(telling, e.Step) && e.State != journal.Begin, e.Step == journal.Destroy, e.Step == journal.StartOver:
		if err := h.publishNow(dir); err != nil {
			h.store.Log.Info("the shared notes of run %s are behind, trying again: %s", h.run, err)
			h.soon()
		}
	default:
		h.soon()
	}
	return nil
}

// telling are the steps whose end is told at once, for it decides what another machine would do next.
var telling = []string{journal.Apply, journal.Provision, journal.Image, journal.ImageWait, journal.Keep, journal.End}

func (h *Hold) soon() {
	select {
	case h.dirty <- struct{}{}:
	default:
	}
}

func (h *Hold) publishNow(dir string) error {
	ctx, cancel := context.WithTimeout(h.store.base(), callTimeout)
	defer cancel()
	err := thrice(ctx, func() error { return h.publish(ctx, dir) })
	if errors.As(err, new(*BusyError)) {
		h.lost(err)
	}
	return err
}

// thrice tries up to three times, with pauses in between, unless the run turns out to be somebody else's.
func thrice(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == 3 || errors.As(err, new(*BusyError)) {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * time.Second):
		case <-ctx.Done():
			return err
		}
	}
}

// publish writes the note anew, unless another machine has taken the run.
func (h *Hold) publish(ctx context.Context, dir string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil
	}
	there, at, err := pull(ctx, h.tf)
	if err != nil {
		return err
	}
	if there.Owner == nil || there.Owner.ID != h.owner.ID {
		e := &BusyError{Run: h.run}
		if there.Owner != nil {
			e.Owner = *there.Owner
		}
		h.over = true
		return e
	}
	if err := h.read(dir); err != nil {
		return err
	}
	return h.push(ctx, at)
}

// read takes journal and files from the run directory.
func (h *Hold) read(dir string) error {
	text, err := journal.Text(dir)
	if err != nil {
		return err
	}
	note := Note{Journal: string(text), Files: map[string]string{}}
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			note.Files[name] = string(b)
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	h.note = note
	return nil
}

// push writes h.note as ours over the note with that stamp.
func (h *Hold) push(ctx context.Context, over stamp) error {
	h.owner.Beat = clock.Now().UTC().Truncate(time.Second)
	owner := h.owner
	h.note.Owner = &owner
	return h.write(ctx, over)
}

func (h *Hold) write(ctx context.Context, over stamp) error {
	if over.lineage == "" {
		over.lineage = noteName(h.run)
	}
	h.note.Format = 1
	text, err := json.Marshal(h.note)
	if err != nil {
		return err
	}
	b, err := json.Marshal(stateFile{
		Version: 4, TerraformVersion: h.store.Binary.Version, Serial: over.serial + 1, Lineage: over.lineage,
		Outputs:   map[string]output{outputName: {Value: string(text), Type: "string", Sensitive: true}},
		Resources: []any{},
	})
	if err != nil {
		return err
	}
	file := filepath.Join(h.work, "note.json")
	defer os.Remove(file)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return err
	}
	return h.tf.PushStateLocked(ctx, file, pushWait)
}

// Release gives the run up: another machine may take it. After Release or a clean end of the run it does nothing.
func (h *Hold) Release(ctx context.Context) error {
	if h == nil {
		return nil
	}
	h.end()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil
	}
	h.over = true
	if h.remove != nil {
		defer h.remove()
	}
	there, at, err := pull(ctx, h.tf)
	if err != nil || there.Owner == nil || there.Owner.ID != h.owner.ID {
		return err
	}
	h.note.Owner = h.after
	if err := h.write(ctx, at); err != nil {
		return fmt.Errorf("give up run %s: %w", h.run, err)
	}
	return nil
}

// Refresh takes journal and files of the run directory once more, for Release to leave them behind.
func (h *Hold) Refresh(dir string) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return nil
	}
	return h.read(dir)
}

func (h *Hold) end() {
	if h.stop != nil {
		h.stop()
		h.done.Wait()
	}
}

// delete removes both states of the run, the note last. Where every run has a key they stay, emptied: terraform cannot
// delete a key.
func (h *Hold) delete() error {
	h.end()
	ctx, cancel := context.WithTimeout(h.store.base(), callTimeout)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over && !h.deleting {
		return nil
	}
	if !h.deleting {
		there, at, err := pull(ctx, h.tf)
		if err != nil {
			return err
		}
		if there.Owner != nil && there.Owner.ID != h.owner.ID {
			h.over = true
			return &BusyError{Run: h.run, Owner: *there.Owner}
		}
		h.over = true
		if h.store.Backend.PerKey() {
			h.note = Note{Format: 1}
			return h.write(ctx, at)
		}
		if err := h.tf.SelectWorkspace(ctx, "default"); err != nil {
			return err
		}
		h.deleting = true // from here on the directory no longer sees the note
	}
	if err := h.tf.DeleteWorkspace(ctx, stateName(h.run)); err != nil {
		return err
	}
	return h.tf.DeleteWorkspace(ctx, noteName(h.run))
}
