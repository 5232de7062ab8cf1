//go:build unix

package shared

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/pgtest"
	"github.com/tfbake/tfbake/internal/s3test"
	"github.com/tfbake/tfbake/internal/statetest"
	"github.com/tfbake/tfbake/internal/terraform"
)

// told is a Log that keeps its lines.
type told struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *told) Info(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.b, format+"\n", args...)
}

func (s *told) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func newStore(t *testing.T, b *config.Backend, environ ...string) *Store {
	t.Helper()
	bin, err := terraform.Find(t.Context(), terraform.FindOptions{SearchPath: os.Getenv("PATH")})
	if err != nil {
		t.Skip(err)
	}
	all := append(os.Environ(), environ...)
	return &Store{Backend: b, Binary: bin, Log: &told{}, Doing: "test", Env: func(dir string) map[string]string {
		return terraform.Environment(terraform.EnvOptions{Environ: all, Dir: dir, Pass: b.Env(all)})
	}}
}

func newRun(t *testing.T) *journal.Run {
	t.Helper()
	id := journal.NewRunID(time.Now())
	r, err := journal.Create(filepath.Join(t.TempDir(), "runs"), journal.Facts{RunID: id, Name: "tfb-" + id, ImageName: "web"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// overHTTP is a store in an http backend of the test's own.
func overHTTP(t *testing.T) (*statetest.Server, *Store) {
	t.Helper()
	server := statetest.Start(t)
	return server, newStore(t, httpBackend(server.URL), server.Environ()...)
}

func httpBackend(url string) *config.Backend {
	address := cty.StringVal(url + "/{run}")
	return &config.Backend{Type: "http", Args: map[string]cty.Value{"address": address, "lock_address": address, "unlock_address": address}}
}

func say(t *testing.T, said *strings.Builder) func(string, ...any) {
	return func(format string, args ...any) { fmt.Fprintf(said, format+"\n", args...) }
}

func TestDeadLockOfTerraformIsNamedAndBroken(t *testing.T) {
	t.Parallel()
	server, store := overHTTP(t)
	run := newRun(t)
	h, err := store.Create(t.Context(), run, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	filepath.WalkDir(run.Dir, func(path string, d fs.DirEntry, err error) error {
		if b, err := os.ReadFile(path); err == nil {
			if files++; strings.Contains(string(b), server.Password) {
				t.Errorf("the password is in %s", path)
			}
		}
		return nil
	})
	if files < 3 {
		t.Errorf("only %d files to search for the password", files)
	}

	// Its tfbake dies: nobody gives the run up, and the process is gone.
	h.end()
	h.owner.Start = "long ago"
	_, at, err := pull(t.Context(), h.tf)
	if err == nil {
		err = h.push(t.Context(), at)
	}
	if err != nil {
		t.Fatal(err)
	}
	id := run.Facts.RunID
	lock, _ := json.Marshal(map[string]string{"ID": "11111111-2222-3333-4444-555555555555", "Operation": "OperationTypeApply", "Who": "ci@gone", "Version": "1.11.4", "Created": "2026-01-02T03:04:05Z", "Path": ""})
	server.SetLock("/"+id, string(lock))

	var said strings.Builder
	_, _, err = store.Claim(t.Context(), id, ClaimOptions{Say: say(t, &said), Wait: time.Second})
	var locked *LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), "11111111-2222-3333-4444-555555555555") || !strings.Contains(err.Error(), "the run's last owner: tfbake test, pid") || !strings.Contains(err.Error(), "tfbake resume -unlock "+id) || !strings.Contains(err.Error(), "tfbake cleanup -unlock "+id) {
		t.Fatalf("a locked state: %v", err)
	}
	said.Reset()
	h, note, err := store.Claim(t.Context(), id, ClaimOptions{Unlock: true, Say: say(t, &said)})
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if !strings.Contains(said.String(), "breaking terraform's lock on run "+id+": lock 11111111-2222-3333-4444-555555555555 of a terraform that the backend does not name") {
		t.Errorf("said: %s", said.String())
	}
	if rec, err := note.Record(time.Now()); err != nil || rec.Facts.ImageName != "web" {
		t.Errorf("note %+v, %v", rec, err)
	}
	if _, err := store.List(t.Context()); !errors.Is(err, ErrNoList) {
		t.Errorf("a list of keys: %v", err)
	}
	if runs, err := store.List(t.Context(), "260101-000000-none", id); err != nil || len(runs) != 1 || runs[0].ID != id {
		t.Errorf("keys looked up: %+v, %v", runs, err)
	}
	if err := h.delete(); err != nil {
		t.Fatal(err)
	}
	if runs, err := store.List(t.Context(), id); err != nil || len(runs) > 0 {
		t.Errorf("a run that is over: %+v, %v", runs, err)
	}
	if _, _, err := store.Claim(t.Context(), id, ClaimOptions{Say: say(t, &said)}); !errors.Is(err, ErrNone) {
		t.Errorf("a run that is over: %v", err)
	}
}

// A run whose state terraform cannot read is handed out all the same: what there is of it can be destroyed through the API.
func TestUnreadableStateIsNoObstacle(t *testing.T) {
	t.Parallel()
	server, store := overHTTP(t)
	run := newRun(t)
	h, err := store.Create(t.Context(), run, func(error) {})
	if err == nil {
		err = h.Release(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	server.SetState("/"+run.Facts.RunID, "what is this?")
	var said strings.Builder
	h, _, err = store.Claim(t.Context(), run.Facts.RunID, ClaimOptions{Say: say(t, &said)})
	if err != nil || !strings.Contains(said.String(), "cannot be asked whether a terraform works on it") {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if err := h.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOneOfManyGetsARun(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	store := newStore(t, &config.Backend{Type: "pg", Args: map[string]cty.Value{"schema_name": cty.StringVal("s")}}, "PG_CONN_STR="+pg.ConnStr)
	run := newRun(t)
	id := run.Facts.RunID
	h, err := store.Create(t.Context(), run, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Claim(t.Context(), id, ClaimOptions{Unlock: true, Say: t.Logf}); !errors.As(err, new(*BusyError)) {
		t.Fatalf("a run at work was given away: %v", err)
	}
	if err := h.Release(t.Context()); err != nil {
		t.Fatal(err)
	}

	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []*Hold
	for range 4 {
		wg.Go(func() {
			h, _, err := store.Claim(context.WithoutCancel(t.Context()), id, ClaimOptions{Say: t.Logf, Wait: time.Second})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, h)
			} else if !errors.As(err, new(*BusyError)) {
				t.Errorf("a loser: %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of four got the run", len(won))
	}

	// Another machine that has been silent for long is dead; one that has not is left alone.
	dead := won[0]
	elsewhere := func(silent time.Duration) {
		t.Helper()
		_, at, err := pull(t.Context(), dead.tf)
		if err != nil {
			t.Fatal(err)
		}
		dead.note.Owner = &Owner{ID: "other", Host: "runner-7", PID: 1, Doing: "run", Machine: "another", Beat: time.Now().Add(-silent)}
		if err := dead.write(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere(time.Minute)
	if _, _, err := store.Claim(t.Context(), id, ClaimOptions{Say: t.Logf}); !errors.As(err, new(*BusyError)) || !strings.Contains(err.Error(), "runner-7") {
		t.Errorf("another machine's run: %v", err)
	}
	elsewhere(deadAfter + time.Second)
	again, _, err := store.Claim(t.Context(), id, ClaimOptions{Say: t.Logf})
	if err != nil {
		t.Fatalf("a dead machine's run: %v", err)
	}

	// A hold that was taken over says so, writes nothing any more, and removes nothing.
	lost := make(chan error, 1)
	if err := again.Bind(t.Context(), run, func(err error) { lost <- err }); err != nil {
		t.Fatal(err)
	}
	elsewhere(0)
	if err := run.Begin(journal.Apply, nil); !errors.As(err, new(*BusyError)) {
		t.Errorf("a step of a run that was taken over: %v", err)
	}
	select {
	case err := <-lost:
		if !strings.Contains(err.Error(), "runner-7") {
			t.Errorf("lost: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody was told")
	}
	run.End(0, nil)
	if runs, err := store.List(t.Context()); err != nil || len(runs) != 1 || runs[0].Note.Owner.ID != "other" {
		t.Errorf("after the end of one that was taken over: %+v, %v", runs, err)
	}
}

// inObjectStorage is a store in an object storage of the test's own.
func inObjectStorage(t *testing.T) (*s3test.Server, *Store) {
	t.Helper()
	s3 := s3test.Start(t)
	args := map[string]cty.Value{"bucket": cty.StringVal(s3.Bucket), "key": cty.StringVal("bakes.tfstate"), "region": cty.StringVal("kr-standard"),
		"endpoints": cty.ObjectVal(map[string]cty.Value{"s3": cty.StringVal(s3.URL)})}
	for _, name := range []string{"use_path_style", "use_lockfile", "skip_s3_checksum", "skip_credentials_validation", "skip_region_validation", "skip_requesting_account_id", "skip_metadata_api_check"} {
		args[name] = cty.True
	}
	return s3, newStore(t, &config.Backend{Type: "s3", Args: args}, s3.Environ()...)
}

// die makes a hold that of a process of another machine, which gave its last sign of life so long ago.
func (h *Hold) die(t *testing.T, ago time.Duration) {
	t.Helper()
	h.end()
	h.mu.Lock()
	defer h.mu.Unlock()
	_, at, err := pull(t.Context(), h.tf)
	if err != nil {
		t.Fatal(err)
	}
	h.note.Owner = &Owner{ID: "other", Host: "runner-7", PID: 1, Doing: "run", Since: time.Now().Add(-ago - time.Hour), Beat: time.Now().Add(-ago), Machine: "other", Start: "1"}
	if err := h.write(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	h.over = true
}

func lockFile(id string, created time.Time) []byte {
	b, _ := json.Marshal(map[string]any{"ID": id, "Operation": "OperationTypeApply", "Who": "ci@runner-7", "Version": "1.11.4", "Created": created.UTC(), "Path": ""})
	return b
}

func TestLocksOfADeadRunner(t *testing.T) {
	t.Parallel()
	s3, store := inObjectStorage(t)
	run := newRun(t)
	id := run.Facts.RunID
	h, err := store.Create(t.Context(), run, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	// What an apply leaves that is killed: a state, and its lock. The note was being written at that moment, too.
	s3.Set("env:/tfb-"+id+"/bakes.tfstate", []byte(`{"version":4,"terraform_version":"1.11.4","serial":3,"lineage":"x","outputs":{},"resources":[]}`))
	stateLock, noteLock := "env:/tfb-"+id+"/bakes.tfstate.tflock", "env:/tfb-"+id+"-run/bakes.tfstate.tflock"
	const applied, noted = "11111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555"

	h.die(t, 10*time.Minute)
	s3.Set(stateLock, lockFile(applied, time.Now().Add(-11*time.Minute)))
	s3.Set(noteLock, lockFile(noted, time.Now().Add(-10*time.Minute)))
	var said strings.Builder
	o := ClaimOptions{Say: say(t, &said), Wait: time.Second}
	if _, _, err = store.Claim(t.Context(), id, o); !errors.As(err, new(*LockedError)) || !strings.Contains(err.Error(), "by ci@runner-7") || !strings.Contains(err.Error(), "-unlock") {
		t.Fatalf("a state that was locked minutes ago: %v", err)
	}
	if !strings.Contains(said.String(), "breaking the lock that a dead tfbake left on its note") || s3.Object(noteLock) != nil {
		t.Errorf("the note's lock: %s", said.String())
	}
	if s3.Object(stateLock) == nil {
		t.Error("the state's lock was broken too early")
	}

	// An hour after its death the same lock is broken unasked, but not one that was taken since.
	h.die(t, 2*time.Hour)
	s3.Set(stateLock, lockFile(applied, time.Now().Add(-30*time.Minute)))
	if _, _, err = store.Claim(t.Context(), id, o); !errors.As(err, new(*LockedError)) {
		t.Errorf("somebody else's lock: %v", err)
	}
	s3.Set(stateLock, lockFile(applied, time.Now().Add(-150*time.Minute)))
	said.Reset()
	h, _, err = store.Claim(t.Context(), id, o)
	if err != nil || !strings.Contains(said.String(), "breaking terraform's lock on run "+id+": OperationTypeApply by ci@runner-7") {
		t.Fatalf("the lock of one long dead: %v\n%s", err, said.String())
	}
	if err := h.delete(); err != nil {
		t.Fatal(err)
	}
	if keys := s3.Keys(); len(keys) > 0 {
		t.Errorf("left in the bucket: %v", keys)
	}
}

func TestUnlockRefusesALivingMachine(t *testing.T) {
	t.Parallel()
	_, store := inObjectStorage(t)
	run := newRun(t)
	id := run.Facts.RunID
	h, err := store.Create(t.Context(), run, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	h.die(t, time.Minute)

	// It renews its note while it is watched.
	o := ClaimOptions{Unlock: true, Say: func(string, ...any) { h.die(t, 0) }}
	_, _, err = store.Claim(t.Context(), id, o)
	if !errors.As(err, new(*BusyError)) || !strings.Contains(err.Error(), "runner-7") || !strings.Contains(err.Error(), "wait for it to end") {
		t.Errorf("-unlock of a run at work elsewhere: %v", err)
	}
	if runs, err := store.List(t.Context()); err != nil || len(runs) != 1 || runs[0].Note.Owner.ID != "other" {
		t.Errorf("after it: %+v, %v", runs, err)
	}

	// It dies.
	o.Say = t.Logf
	h, _, err = store.Claim(t.Context(), id, o)
	if err != nil {
		t.Fatalf("-unlock of a run of a machine that gives no sign of life: %v", err)
	}
	if err := h.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.work); err == nil {
		t.Errorf("%s is left", h.work)
	}
}

// Without conditional writes nothing but the owner's name in the note keeps two apart: more than one may begin, but only
// one goes on.
func TestStorageWithoutLocks(t *testing.T) {
	t.Parallel()
	s3, store := inObjectStorage(t)
	s3.NoConditions = true
	run := newRun(t)
	id := run.Facts.RunID
	h, err := store.Create(t.Context(), run, func(error) {})
	if err == nil {
		err = h.Release(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var holds [3]*Hold
	for i := range holds {
		wg.Go(func() {
			h, _, err := store.Claim(context.WithoutCancel(t.Context()), id, ClaimOptions{Say: t.Logf, Wait: time.Second})
			if err != nil {
				t.Logf("claim %d: %v", i, err)
				return
			}
			holds[i] = h
		})
	}
	wg.Wait()
	n := 0
	for _, h := range holds {
		if h != nil && h.publish(t.Context(), run.Dir) == nil {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of %d go on", n, len(holds))
	}
}

// Two machines use a pg backend for the first time at the same moment: while the one's transaction makes what terraform
// needs there, the other's CREATE … IF NOT EXISTS waits for it, and then fails.
func TestFirstUseAtOnce(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	store := newStore(t, &config.Backend{Type: "pg", Args: map[string]cty.Value{"schema_name": cty.StringVal("s")}}, "PG_CONN_STR="+pg.ConnStr)
	other := make(chan error, 1)
	go func() {
		_, err := pg.Query("begin; create sequence public.global_states_id_seq as bigint; select pg_sleep(5); commit")
		other <- err
	}()
	for {
		if n, err := pg.Query("select count(*) from pg_stat_activity where wait_event = 'PgSleep'"); err != nil {
			t.Fatal(err)
		} else if n == "1" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, err := store.terraform(t.Context(), t.TempDir(), "notes"); err != nil {
		t.Error(err)
	}
	if err := <-other; err != nil {
		t.Error(err)
	}
}

// What ends a resume before the run is tied to its directory gives the run up all the same.
func TestReleaseAfterBindFails(t *testing.T) {
	t.Parallel()
	_, store := overHTTP(t)
	run := newRun(t)
	h, err := store.Create(t.Context(), run, func(error) {})
	if err == nil {
		err = h.Release(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	h, _, err = store.Claim(t.Context(), run.Facts.RunID, ClaimOptions{Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("Ctrl-C")
	cancel(interrupt)
	if err := h.Bind(ctx, run, func(error) {}); !errors.Is(err, interrupt) {
		t.Errorf("bind: %v", err)
	}
	if err := h.Release(t.Context()); err != nil {
		t.Errorf("release: %v", err)
	}
	if _, err := os.Stat(h.work); err == nil {
		t.Errorf("%s is left", h.work)
	}
	if note, err := store.Read(t.Context(), run.Facts.RunID); err != nil || note.Owner != nil {
		t.Errorf("after it: held by %v, %v", note.Owner, err)
	}
}

// Ctrl-C while a claim looks at the run's own state: Release finds the note again.
func TestTheNoteIsFoundAgainAfterAnInterrupt(t *testing.T) {
	t.Parallel()
	s3, store := inObjectStorage(t)
	run := newRun(t)
	id := run.Facts.RunID
	h, err := store.Create(t.Context(), run, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	s3.Set("env:/tfb-"+id+"/bakes.tfstate", []byte(`{"version":4,"terraform_version":"1.11.4","serial":3,"lineage":"x","outputs":{},"resources":[]}`))
	ctx, cancel := context.WithCancel(t.Context())
	if err := h.inState(ctx, func(*terraform.Terraform) error { cancel(); return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("in the state: %v", err)
	}
	if err := h.Release(t.Context()); err != nil {
		t.Errorf("release: %v", err)
	}
	if note, err := store.Read(t.Context(), id); err != nil || note.Owner != nil {
		t.Errorf("after it: held by %v, %v", note.Owner, err)
	}
}

// The lock of one who writes the note now is waited for, also when its clock is behind ours.
func TestALockOfTheLivingIsNotBroken(t *testing.T) {
	t.Parallel()
	s3, store := inObjectStorage(t)
	run := newRun(t)
	id := run.Facts.RunID
	h, err := store.Create(t.Context(), run, func(error) {})
	if err == nil {
		err = h.Release(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	lock := "env:/tfb-" + id + "-run/bakes.tfstate.tflock"
	s3.Set(lock, lockFile("22222222-2222-3333-4444-555555555555", time.Now().Add(-25*time.Hour)))
	var said strings.Builder
	h, _, err = store.Claim(t.Context(), id, ClaimOptions{Say: func(format string, args ...any) {
		fmt.Fprintf(&said, format+"\n", args...)
		s3.Set(lock, nil) // it has written
	}})
	if err != nil || !strings.Contains(said.String(), "somebody is writing the note") || strings.Contains(said.String(), "breaking") {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if err := h.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// That everything is being removed is told at once: another machine must not go on with the run.
func TestDestroyingIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, store := overHTTP(t)
	for _, step := range []string{journal.Destroy, journal.StartOver} {
		run := newRun(t)
		h, err := store.Create(t.Context(), run, func(error) {})
		if err == nil {
			err = run.Begin(step, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		h.mu.Lock()
		published := h.note.Journal
		h.mu.Unlock()
		if !strings.Contains(published, `"`+step+`"`) {
			t.Errorf("%s is not in the note: %s", step, published)
		}
		if err := h.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// There is a pause between two tries, and none after the last.
func TestThrice(t *testing.T) {
	for _, c := range []struct {
		err   error
		tries int
		takes time.Duration
	}{
		{errors.New("no answer"), 3, 3 * time.Second},
		{&BusyError{}, 1, 0},
		{nil, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, tries := time.Now(), 0
			if err := thrice(t.Context(), func() error { tries++; return c.err }); err != c.err || tries != c.tries || time.Since(began) != c.takes {
				t.Errorf("%v: %d tries in %s, %v; want %d in %s", c.err, tries, time.Since(began), err, c.tries, c.takes)
			}
		})
	}
}
