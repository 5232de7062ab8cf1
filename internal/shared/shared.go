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
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
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

// watchFor is how long an owner is watched before it counts as dead: two beats. A variable for tests.
var watchFor = 2*beatEvery + 5*time.Second

// noteLockFor is how long the lock of a note is watched before it counts as a dead one's. A variable for tests.
var noteLockFor = callTimeout

// Files of a run directory that travel with the note.
var files = []string{"plan.json", "login-key.sealed"}

// Note is what a machine tells the others about a run. It holds no secret that is not sealed, but, as the state does, the
// text of user_data.
type Note struct {
	Format  int               `json:"format"` // 1
	Journal string            `json:"journal"`
	Files   map[string]string `json:"files,omitempty"`
	Owner   *Owner            `json:"owner,omitempty"` // nil: nobody works on it
}

// Record is the note's journal, read, with Working set as far as it can be known from here.
func (n Note) Record(now time.Time) (journal.Record, error) {
	rec, err := journal.Parse([]byte(n.Journal))
	rec.Working = n.Owner != nil && n.Owner.Alive(now)
	return rec, err
}

// WriteFiles puts the files that travel into a run directory.
func (n Note) WriteFiles(dir string) error {
	out := render.Files{}
	for name, text := range n.Files {
		if slices.Contains(files, name) { // and no other name that a hostile note might hold
			out[name] = []byte(text)
		}
	}
	return render.Write(dir, out)
}

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

// next returns a state with the next serial; an empty text stands for a state that was never written.
func next(state []byte, version, lineage string) ([]byte, error) {
	if len(state) == 0 {
		return json.Marshal(stateFile{Version: 4, TerraformVersion: version, Serial: 1, Lineage: lineage, Outputs: map[string]output{}, Resources: []any{}})
	}
	var f map[string]json.RawMessage
	var serial uint64
	if err := json.Unmarshal(state, &f); err != nil {
		return nil, fmt.Errorf("read the run's state: %w", err)
	}
	if err := json.Unmarshal(f["serial"], &serial); err != nil {
		return nil, fmt.Errorf("read the run's state: serial: %w", err)
	}
	f["serial"] = json.RawMessage(strconv.FormatUint(serial+1, 10))
	return json.Marshal(f)
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

// stateFile is a Terraform state, version 4, that holds nothing but outputs.
type stateFile struct {
	Version          int               `json:"version"`
	TerraformVersion string            `json:"terraform_version"`
	Serial           uint64            `json:"serial"`
	Lineage          string            `json:"lineage"`
	Outputs          map[string]output `json:"outputs"`
	Resources        []any             `json:"resources"`
}

type output struct {
	Value     string `json:"value"`
	Type      string `json:"type"`
	Sensitive bool   `json:"sensitive,omitempty"` // terraform then does not print it
}

const outputName = "tfbake_run"

// stamp is which version of a note it is. The lineage is not always the one that was written first: terraform gives a state
// that was never there a new one (http).
type stamp struct {
	serial  uint64
	lineage string
}

// pull reads a note and its stamp. A state without one is ErrNone.
func pull(ctx context.Context, tf *terraform.Terraform) (Note, stamp, error) {
	var n Note
	text, err := tf.PullState(ctx)
	if err != nil {
		return n, stamp{}, err
	}
	if len(text) == 0 {
		return n, stamp{}, ErrNone
	}
	var f stateFile
	if err := json.Unmarshal(text, &f); err != nil {
		return n, stamp{}, fmt.Errorf("read the run's note: %w", err)
	}
	at := stamp{f.Serial, f.Lineage}
	out, ok := f.Outputs[outputName]
	if !ok {
		return n, at, ErrNone
	}
	if err := json.Unmarshal([]byte(out.Value), &n); err != nil {
		return n, at, fmt.Errorf("read the run's note: %w", err)
	}
	if n.Format != 1 {
		return n, at, fmt.Errorf("the run's note has format %d, which a newer tfbake writes", n.Format)
	}
	if n.Journal == "" {
		return n, at, ErrNone // emptied
	}
	return n, at, nil
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

// TakenOver says that the run is somebody else's: its own tfbake must leave it alone.
func (e *BusyError) TakenOver() bool { return true }
