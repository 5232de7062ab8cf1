package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/shared"
	"github.com/tfbake/tfbake/internal/tempdir"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

const backendUsage = "a JSON or HCL file with the `backend` that holds the state of the runs, for finding those of other machines; default $TFBAKE_BACKEND"

const unlockUsage = "with -backend: break the locks of a dead machine or terraform, after saying whose they are"

// loadBackend reads the file that -backend or TFBAKE_BACKEND names; nil when neither does.
func (a *app) loadBackend(path string) (*config.Backend, error) {
	if path == "" {
		return nil, nil
	}
	b, files, diags := config.LoadBackend(path, config.Options{Cwd: a.cwd, Env: a.env})
	if b != nil {
		a.redact.Add(b.Refused...)
	}
	a.diagnostics(files, diags)
	if diags.HasErrors() {
		return nil, failWith(exitUsage, fmt.Errorf("%s: %s", path, count(len(diags.Errs()), "error")))
	}
	return b, a.checkBackend(b)
}

// checkBackend keeps the secrets of a backend's environment out of sight.
func (a *app) checkBackend(b *config.Backend) error {
	a.redact.Add(b.Secrets(a.environ())...)
	if s := a.getenv("PG_CONN_STR"); b.Type == "pg" && strings.Contains(s, "://") {
		if _, err := url.Parse(s); err != nil {
			// terraform would print it, password and all, into its log.
			return failWith(exitUsage, errors.New("PG_CONN_STR is no URL: special characters in the password are written with %, such as %40 for @"))
		}
	}
	return nil
}

// backendOf returns the backend of a template's runs; -backend wins over the template's own.
func (a *app) backendOf(tmpl *config.Template, o cloudFlags) (*config.Backend, error) {
	b, err := a.loadBackend(o.backend)
	if b != nil || err != nil || tmpl.Backend == nil {
		return b, err
	}
	return tmpl.Backend, a.checkBackend(tmpl.Backend)
}

// backendOfRun returns the backend that a run's facts name; nil: its state is in its directory.
func backendOfRun(f journal.Facts) *config.Backend {
	if len(f.Backend) == 0 {
		return nil
	}
	var b config.Backend
	if json.Unmarshal(f.Backend, &b) != nil {
		return nil
	}
	return &b
}

// encodeBackend is what backendOfRun reads.
func encodeBackend(b *config.Backend) json.RawMessage {
	if b == nil {
		return nil
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil // its values came from JSON or HCL, and can be written as JSON
	}
	return text
}

// backendEnv is what terraform needs in its environment for a run's backend.
func (a *app) backendEnv(f journal.Facts) []string {
	if b := backendOfRun(f); b != nil {
		return b.Env(a.environ())
	}
	return nil
}

// renderedBackend is the backend block of a run's root module, nil without one.
func renderedBackend(f journal.Facts) *render.Backend {
	if b := backendOfRun(f); b != nil {
		return shared.Arguments(b, f.RunID)
	}
	return nil
}

func workspaceOf(f journal.Facts) string {
	if b := backendOfRun(f); b != nil {
		return shared.Workspace(b, f.RunID)
	}
	return ""
}

// store opens a backend.
func (a *app) store(ctx context.Context, b *config.Backend, program, doing string) (*shared.Store, error) {
	if err := a.checkBackend(b); err != nil {
		return nil, err
	}
	bin, err := a.findTerraform(ctx, program)
	if err != nil {
		return nil, failWith(exitInfra, err)
	}
	return &shared.Store{
		Backend: b, Binary: bin, Log: a.story, Doing: doing, Hard: a.hard,
		Env: func(dir string) map[string]string {
			return terraform.Environment(terraform.EnvOptions{Environ: a.environ(), Cwd: a.cwd, Dir: dir, Pass: b.Env(a.environ())})
		},
	}, nil
}

// share adds to a run's parts that other machines know of it. A new run is made known before anything of it is created.
func (m maker) share(ctx context.Context, run *journal.Run, p bake.Parts, story *ui.Story) (bake.Parts, error) {
	b := backendOfRun(run.Facts)
	if b == nil {
		return p, nil
	}
	hold := m.hold
	if hold == nil {
		store, err := m.app.store(ctx, b, m.terraform.Path, "run")
		if err != nil {
			return p, err
		}
		store.Log = story
		if hold, err = store.Create(ctx, run, m.lost); err != nil {
			return p, err
		}
		story.Info("the run's state is in the %s backend, as tfb-%s", b.Type, run.Facts.RunID)
	}
	rest := p.Close
	p.Close = func() {
		if err := errors.Join(hold.Refresh(run.Dir), hold.Release(context.WithoutCancel(ctx))); err != nil {
			story.Info("the shared notes of run %s: %s", run.Facts.RunID, err)
		}
		rest()
	}
	return p, nil
}

// opened is a run that this process may work on.
type opened struct {
	run     *journal.Run
	rec     journal.Record
	hold    *shared.Hold // nil: its state is not shared, or no more
	fetched bool         // the directory was made here, from the notes of another machine
	gone    bool         // the backend that it names does not know it
}

// close gives the run up, for this machine and the others.
func (o *opened) close(ctx context.Context) error {
	err := o.hold.Refresh(o.run.Dir)
	err = errors.Join(err, o.hold.Release(context.WithoutCancel(ctx)))
	o.run.Close()
	return err
}

// forget gives a run up and removes the directory that was made for it.
func (o *opened) forget(ctx context.Context) error {
	err := o.close(ctx)
	if o.fetched {
		err = errors.Join(err, os.RemoveAll(o.run.Dir))
	}
	return err
}

// openOptions say how to open a run.
type openOptions struct {
	cloudFlags
	doing  string // the command
	unlock bool
	lost   func(error) // called when another machine takes the run over meanwhile
}

// terraformWait is how long to wait for the terraform of a dead tfbake that still works on another machine.
const terraformWait = 2 * time.Minute

// openRun opens the run that the user named, from its directory or, with a backend, from what other machines noted of it.
func (a *app) openRun(ctx context.Context, name string, o openOptions) (*opened, error) {
	b, err := a.loadBackend(o.backend)
	if err != nil {
		return nil, err
	}
	dir, notHere := a.findRun(name)
	if notHere != nil && b == nil {
		return nil, notHere
	}
	out := &opened{}
	id := name
	if notHere == nil {
		if out.run, out.rec, err = journal.Open(dir, a.redact.String); err != nil {
			return nil, err
		}
		if b = backendOfRun(out.rec.Facts); b == nil {
			return out, nil
		}
		id = out.rec.Facts.RunID
	}
	store, err := a.store(ctx, b, o.terraform, o.doing)
	if err == nil && notHere != nil {
		id, err = a.sharedID(ctx, store, name, notHere)
	}
	if err == nil {
		err = a.claim(ctx, store, id, o, out)
	}
	if err != nil && out.run != nil {
		out.run.Close()
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// claim takes a shared run over, and brings its directory up to what was noted last.
func (a *app) claim(ctx context.Context, store *shared.Store, id string, o openOptions, out *opened) error {
	hold, note, err := store.Claim(ctx, id, shared.ClaimOptions{Unlock: o.unlock, Say: a.story.Say, Wait: terraformWait})
	if errors.Is(err, shared.ErrNone) && out.run != nil {
		a.story.Info("run %s: the %s backend knows nothing of it", id, store.Backend.Type)
		out.run.Facts.Backend, out.rec.Facts.Backend = nil, nil // no state to ask
		out.gone = true
		return nil
	}
	if errors.Is(err, shared.ErrNone) {
		return failWith(exitUsage, fmt.Errorf("%w %s, neither in %s nor in the %s backend", errNoRun, id, a.runsDir, store.Backend.Type))
	}
	if err != nil {
		return err
	}
	if out.hold = hold; out.run == nil {
		out.fetched = true
		if out.run, out.rec, err = journal.Restore(a.runsDir, id, []byte(note.Journal), a.redact.String); err == nil {
			err = errors.Join(note.WriteFiles(out.run.Dir), a.rewriteModule(out.run))
		}
	} else if text, readErr := journal.Text(out.run.Dir); readErr != nil {
		err = readErr
	} else if !strings.HasPrefix(string(text), strings.TrimRight(note.Journal, "\n")) {
		// Another machine went on with it.
		if out.rec, err = out.run.Replace([]byte(note.Journal)); err == nil {
			err = note.WriteFiles(out.run.Dir)
		}
	}
	if err == nil {
		err = hold.Bind(ctx, out.run, o.lost)
	}
	if err != nil {
		return errors.Join(err, hold.Release(context.WithoutCancel(ctx)))
	}
	return nil
}

// rewriteModule writes a run's root module again from its choices, where another machine got so far.
func (a *app) rewriteModule(run *journal.Run) error {
	plan, err := bake.LoadPlan(run.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	files, err := render.Module(plan, render.Options{ToolVersion: toolVersion(), TemplatePath: run.Facts.Template, Backend: renderedBackend(run.Facts),
		CustomGateway: run.Facts.Endpoint != "" || run.Facts.LocalDir != ""})
	if err != nil {
		return err
	}
	return render.Write(run.Dir, files)
}

var runID = regexp.MustCompile(`^\d{6}-\d{6}-[a-z0-9]{4}$`)

// sharedID completes a run's id by the runs in the backend.
func (a *app) sharedID(ctx context.Context, store *shared.Store, name string, notHere error) (string, error) {
	id := config.RunID(name)
	if runID.MatchString(id) {
		return id, nil
	}
	runs, err := store.List(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, r := range runs {
		if len(id) >= 6 && strings.HasPrefix(r.ID, id) {
			found = append(found, r.ID)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", failWith(exitUsage, fmt.Errorf("%w, nor in the %s backend", notHere, store.Backend.Type))
	}
	return "", failWith(exitUsage, fmt.Errorf("more than one run begins with %s: name it in full", name))
}

// sharedRun is a run of the backend, with what its note says.
type sharedRun struct {
	journal.Record
	owner *shared.Owner
}

// sharedRuns lists the runs of the backend that -backend names; none without one.
func (a *app) sharedRuns(ctx context.Context, o cloudFlags) ([]sharedRun, error) {
	b, err := a.loadBackend(o.backend)
	if b == nil || err != nil {
		return nil, err
	}
	store, err := a.store(ctx, b, o.terraform, "runs")
	if err != nil {
		return nil, err
	}
	listed, err := store.List(ctx)
	if errors.Is(err, shared.ErrNoList) {
		a.story.Info("%s", err)
		return nil, nil
	}
	return a.readable(b, listed), err
}

// inBackend returns those of the runs, by name, that the backend which -backend names knows, also where their notes cannot be
// read; none without a backend.
func (a *app) inBackend(ctx context.Context, o cloudFlags, names []string) (known []string, err error) {
	b, err := a.loadBackend(o.backend)
	if b == nil || err != nil || len(names) == 0 {
		return nil, err
	}
	store, err := a.store(ctx, b, o.terraform, "cleanup")
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(names))
	for i, name := range names {
		ids[i] = config.RunID(name)
	}
	listed, err := store.List(ctx, ids...)
	a.readable(b, listed) // says which cannot be read
	for _, l := range listed {
		known = append(known, config.RunName(l.ID))
	}
	return known, err
}

// readable returns the runs whose notes can be read, and says which cannot.
func (a *app) readable(b *config.Backend, listed []shared.Listed) (out []sharedRun) {
	for _, l := range listed {
		rec, err := l.Note.Record(clock.Now())
		if err = errors.Join(l.Err, err); err != nil {
			a.story.Error("run %s in the %s backend: %s", l.ID, b.Type, err)
			continue
		}
		out = append(out, sharedRun{rec, l.Note.Owner})
	}
	return out
}

// backendWait bounds asking a backend how the runs here stand in it.
const backendWait = 30 * time.Second

// elsewhere asks the backends of the runs whose directories are here, and which no tfbake here works on, how those stand.
// gone are those that a backend no longer knows: another machine has finished or removed them. A backend that does not
// answer is told and left out.
func (a *app) elsewhere(ctx context.Context, here []journal.Record, o cloudFlags) (there []sharedRun, gone []string) {
	ids := map[string][]string{}
	for _, r := range here {
		if len(r.Facts.Backend) > 0 && !r.Working {
			ids[string(r.Facts.Backend)] = append(ids[string(r.Facts.Backend)], r.Facts.RunID)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, backendWait)
	defer cancel()
	for _, text := range slices.Sorted(maps.Keys(ids)) {
		b := backendOfRun(journal.Facts{Backend: json.RawMessage(text)})
		if b == nil {
			continue
		}
		var listed []shared.Listed
		store, err := a.store(ctx, b, o.terraform, "runs")
		if err == nil {
			listed, err = store.List(ctx, ids[text]...)
		}
		if err != nil {
			a.story.Info("the %s backend cannot be asked how its runs stand, they are taken as their directories here know them: %s", b.Type, err)
			continue
		}
		there = append(there, a.readable(b, listed)...)
		for _, id := range ids[text] {
			if !slices.ContainsFunc(listed, func(l shared.Listed) bool { return l.ID == id }) {
				gone = append(gone, id)
			}
		}
	}
	return there, gone
}

// withShared joins the runs here with those of the backend, in order of their ids. Of a run in both, the backend knows
// whether somebody works on it.
func withShared(here []journal.Record, there []sharedRun) []sharedRun {
	var out []sharedRun
	i := 0
	for _, h := range here {
		for ; i < len(there) && there[i].Facts.RunID < h.Facts.RunID; i++ {
			out = append(out, there[i])
		}
		row := sharedRun{Record: h}
		if i < len(there) && there[i].Facts.RunID == h.Facts.RunID {
			if row.owner = there[i].owner; there[i].Working || len(there[i].Entries) > len(h.Entries) {
				row.Record = there[i].Record
				row.Dir = h.Dir
				row.Working = row.Working || h.Working
			}
			i++
		}
		out = append(out, row)
	}
	return append(out, there[i:]...)
}

// sharedNote reads what other machines noted of a run whose directory is not here. It fails with notHere where no backend is
// named, or the backend does not know the run.
func (a *app) sharedNote(ctx context.Context, name string, o cloudFlags, doing string, notHere error) (id string, note shared.Note, err error) {
	b, err := a.loadBackend(o.backend)
	if err != nil {
		return "", note, err
	}
	if b == nil {
		return "", note, notHere
	}
	store, err := a.store(ctx, b, o.terraform, doing)
	if err != nil {
		return "", note, err
	}
	if id, err = a.sharedID(ctx, store, name, notHere); err != nil {
		return "", note, err
	}
	note, err = store.Read(ctx, id)
	if errors.Is(err, shared.ErrNone) {
		err = failWith(exitUsage, fmt.Errorf("%w, nor in the %s backend", notHere, b.Type))
	}
	return id, note, err
}

// stateDir returns a directory in which terraform sees the state of a run: its own, or for one of another machine's a
// temporary one that holds nothing but the backend. env is what terraform needs in its environment there.
func (a *app) stateDir(ctx context.Context, name, backend string) (dir string, env []string, remove func(), err error) {
	remove = func() {}
	dir, notHere := a.findRun(name)
	if notHere == nil {
		rec, err := journal.Read(dir)
		return dir, a.backendEnv(rec.Facts), remove, err
	}
	b, err := a.loadBackend(backend)
	if err != nil {
		return "", nil, remove, err
	}
	if b == nil {
		return "", nil, remove, notHere
	}
	store, err := a.store(ctx, b, a.getenv("TFBAKE_TERRAFORM"), "state")
	if err != nil {
		return "", nil, remove, err
	}
	id, err := a.sharedID(ctx, store, name, notHere)
	if err != nil {
		return "", nil, remove, err
	}
	dir, removeDir, err := tempdir.Make()
	if err != nil {
		return "", nil, remove, err
	}
	remove = removeDir
	if err := store.StateIn(ctx, dir, id); err != nil {
		remove()
		if errors.Is(err, shared.ErrNone) {
			err = failWith(exitUsage, fmt.Errorf("there is no run %s in %s, and no state of it in the %s backend", id, a.runsDir, b.Type))
		}
		return "", nil, func() {}, err
	}
	return dir, b.Env(a.environ()), remove, nil
}

// templateHere replaces the path of a run's template by the one the user gave, for a run of another machine.
func templateHere(f *journal.Facts, path string) (err error) {
	if path == "" {
		return nil
	}
	f.Template, err = filepath.Abs(path)
	return err
}

// stateArguments takes -backend FILE out of what `tfbake state` was given: the rest is terraform's.
func stateArguments(args []string, backend string) (name, file string, sub []string) {
	for i := 0; i < len(args); i++ {
		flag, value, joined := strings.Cut(args[i], "=")
		if flag != "-backend" && flag != "--backend" {
			sub = append(sub, args[i])
			continue
		}
		if backend = value; !joined && i+1 < len(args) {
			i++
			backend = args[i]
		}
	}
	if len(sub) > 0 {
		name, sub = sub[0], sub[1:]
	}
	return name, backend, sub
}
