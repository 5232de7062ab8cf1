package bake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// world stands for everything outside: it notes what is asked of it, in order, and does as it is told. Every call
// honours its context.
type world struct {
	t     *testing.T
	calls []string
	fail  map[string][]error // by call: what the n-th one returns
	hook  map[string]func()
	run   *journal.Run
	image snapshot.Image
	left  []string
	from  int // what the last Provision was told

	state   []string // ids in terraform's state
	errored []string // ids in errored.tfstate; nil: there is none
	story   bytes.Buffer

	share      []string
	beforeDown func(context.Context)
}

func (w *world) call(ctx context.Context, name string) error {
	w.calls = append(w.calls, name)
	if h := w.hook[name]; h != nil {
		h()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f := w.fail[name]; len(f) > 0 {
		w.fail[name] = f[1:]
		return f[0]
	}
	return nil
}

func (w *world) Check(ctx context.Context, _ *config.Build, runID string) (config.Resolved, error) {
	name := "tfb-" + runID
	return config.Resolved{RunID: runID, Name: name, Platform: config.VPC, Hypervisor: config.KVM, LoginKeyName: name + config.KeySuffix, ImageName: "web", ShareWith: w.share}, w.call(ctx, "check")
}
func (w *world) Init(ctx context.Context) error { return w.call(ctx, "init") }
func (w *world) Apply(ctx context.Context) (terraform.Server, error) {
	if w.state == nil {
		w.state = []string{"8"}
	}
	err := w.call(ctx, "apply")
	if err == nil {
		w.state = []string{"7", "8"}
	}
	return terraform.Server{ID: "7", PublicIP: "127.0.0.7"}, err
}
func (w *world) Destroy(ctx context.Context) error { return w.call(ctx, "destroy") }
func (w *world) State(context.Context) (terraform.State, error) {
	if h := w.hook["state"]; h != nil {
		h()
	}
	return stateOf(w.state), nil
}
func (w *world) UseErroredState(_ context.Context, good func(terraform.State) bool) (bool, error) {
	if w.errored == nil || !good(stateOf(w.errored)) {
		return false, nil
	}
	w.state = w.errored
	return true, nil
}

func stateOf(ids []string) terraform.State {
	s := terraform.State{Status: terraform.StateMissing}
	for _, id := range ids {
		s.Status = terraform.StateFilled
		s.Resources = append(s.Resources, terraform.Resource{ID: id})
	}
	return s
}
func (w *world) ForgetBrokenState() error { return w.call(context.Background(), "forget") }
func (w *world) Provision(ctx context.Context, _ *journal.Run, _ terraform.Server, _ LoginKey, from int) error {
	w.from = from
	return w.call(ctx, "provision")
}
func (w *world) Stop(ctx context.Context, _ terraform.Server) error { return w.call(ctx, "stop") }
func (w *world) Start(ctx context.Context, _ terraform.Server) (snapshot.Image, error) {
	if err := w.call(ctx, "image"); err != nil {
		return snapshot.Image{}, err
	}
	w.image = snapshot.Image{No: "99", Name: "web"}
	return w.image, nil
}
func (w *world) Wait(ctx context.Context, _ snapshot.Image) error  { return w.call(ctx, "wait") }
func (w *world) Share(ctx context.Context, _ snapshot.Image) error { return w.call(ctx, "share") }
func (w *world) Find(ctx context.Context) (snapshot.Image, bool, error) {
	return w.image, w.image.No != "", w.call(ctx, "find")
}
func (w *world) Make(ctx context.Context, _ *journal.Run, name string) (LoginKey, error) {
	return LoginKey{Name: name, PrivateKey: []byte("k")}, w.call(ctx, "key")
}
func (w *world) Recall(_ *journal.Run, name string) (LoginKey, error) {
	w.calls = append(w.calls, "recall")
	return LoginKey{Name: name}, nil
}
func (w *world) Delete(ctx context.Context, _ string) error { return w.call(ctx, "delete-key") }
func (w *world) Sweep(ctx context.Context, _ string) ([]string, error) {
	return w.left, w.call(ctx, "sweep")
}
func (w *world) SweepStrays(ctx context.Context, _ string, _ []string) ([]string, error) {
	return nil, nil
}

// parts is not among the calls: making the means of a run touches nothing.
func (w *world) parts(ctx context.Context) error {
	if h := w.hook["parts"]; h != nil {
		h()
	}
	return ctx.Err()
}

func (w *world) baker(t *testing.T) *Baker {
	w.t = t
	return &Baker{
		Preflight: w, RunsDir: t.TempDir(), Story: ui.New(&w.story, nil, ui.Options{}), Hard: context.Background(), Time: func(context.Context) time.Time { return time.Now() }, OnError: Cleanup, From: -1,
		Parts: func(ctx context.Context, run *journal.Run, _ config.Resolved) (Parts, error) {
			w.run = run
			if err := w.parts(ctx); err != nil {
				return Parts{}, err
			}
			return Parts{Infra: w, Provisioner: w, Imager: w, Keys: w, Sweeper: w,
				Files: func(config.Resolved) (render.Files, error) {
					return render.Files{"main.tf": []byte("# of a test\n")}, nil
				},
				BeforeDown: w.beforeDown, Keep: func(ctx context.Context) error { return w.call(ctx, "keep") }, Close: func() {}}, nil
		},
	}
}

var build = &config.Build{Name: "web", Type: "ncloud"}

func (w *world) expect(calls string) {
	w.t.Helper()
	if got := strings.Join(w.calls, " "); got != calls {
		w.t.Errorf("calls\n  %s\nwant\n  %s", got, calls)
	}
}

func TestABakeReadsTopToBottom(t *testing.T) {
	w := &world{}
	b := w.baker(t)
	res, err := b.Run(context.Background(), build)
	if err != nil || res.Image.No != "99" || res.Dir != "" {
		t.Fatalf("%+v, %v", res, err)
	}
	w.expect("check key init apply provision stop image wait destroy delete-key sweep")
}

func TestEveryStepIsInTheJournalBeforeItIsDone(t *testing.T) {
	w := &world{hook: map[string]func(){}}
	b := w.baker(t)
	b.KeepDir = true
	for call, step := range map[string]string{"key": journal.LoginKey, "init": journal.Init, "apply": journal.Apply, "provision": journal.Provision,
		"stop": journal.Stop, "image": journal.Image, "wait": journal.ImageWait, "destroy": journal.Destroy, "sweep": journal.Sweep} {
		w.hook[call] = func() {
			rec, err := journal.Read(w.run.Dir)
			if err != nil {
				t.Error(err)
			}
			if e, ok := rec.Last(step); !ok || e.State != journal.Begin {
				t.Errorf("when %s is done, the journal's last word on it is %+v", call, e)
			}
		}
	}
	if _, err := b.Run(context.Background(), build); err != nil {
		t.Fatal(err)
	}
}

func TestAFailureAnywhereGoesDown(t *testing.T) {
	for call, stage := range map[string]Stage{"key": StageInfra, "init": StageInfra, "apply": StageInfra, "provision": StageProvision, "stop": StageImage, "image": StageImage, "wait": StageImage} {
		boom := errors.New("boom")
		w := &world{fail: map[string][]error{call: {boom}}}
		res, err := w.baker(t).Run(context.Background(), build)
		var e *Error
		if !errors.Is(err, boom) || !errors.As(err, &e) || e.Stage != stage {
			t.Errorf("%s fails: %v (stage %v), want %s", call, err, e, stage)
		}
		if slices.Contains(w.calls, "destroy") != (w.state != nil) || w.calls[len(w.calls)-1] != "sweep" {
			t.Errorf("%s fails: no way down, or one for nothing: %v", call, w.calls)
		}
		if said := w.story.String(); strings.Count(said, "boom") != 1 || !strings.HasSuffix(said, "==> 0 resources left\n") || !res.Told {
			t.Errorf("%s fails: the error is to be told once, and in the end what is left:\n%s", call, said)
		}
		if res.Dir == "" {
			t.Errorf("%s fails: its directory is gone", call)
		}
	}
}

func TestPreflightFailsBeforeAnythingExists(t *testing.T) {
	w := &world{fail: map[string][]error{"check": {errors.New("no such image")}}}
	b := w.baker(t)
	if _, err := b.Run(context.Background(), build); err == nil {
		t.Fatal("no error")
	}
	w.expect("check")
	if recs, _ := journal.List(b.RunsDir); len(recs) > 0 {
		t.Errorf("a run directory was made: %v", recs)
	}
}

func TestAnInterruptedBakeGoesDownWithALivingContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("Ctrl-C")
	w := &world{hook: map[string]func(){"provision": func() { cancel(stop) }}}
	_, err := w.baker(t).Run(ctx, build)
	if !errors.Is(err, stop) {
		t.Errorf("error %v does not tell the cause", err)
	}
	w.expect("check key init apply provision destroy delete-key sweep") // destroy and sweep fail on a dead context
}

func TestTerraformFailingToDestroyIsNotTheLastWord(t *testing.T) {
	w := &world{fail: map[string][]error{"destroy": {errors.New("state is locked")}}}
	if _, err := w.baker(t).Run(context.Background(), build); err != nil {
		t.Errorf("everything is gone by the API's word, but: %v", err)
	}
	w = &world{left: []string{"server tfb-x (7)"}}
	res, err := w.baker(t).Run(context.Background(), build)
	if err == nil || len(res.Left) != 1 || res.Image.No != "99" {
		t.Errorf("a server is left, and the result is %+v, %v", res, err)
	}
	if said := w.story.String(); strings.Count(said, "server tfb-x (7)") != 1 || !strings.HasSuffix(said, "`tfbake cleanup "+res.RunID+"` goes on\n") {
		t.Errorf("it said\n%s", said)
	}
	w = &world{fail: map[string][]error{"sweep": {errors.New("no answer")}}}
	res, err = w.baker(t).Run(context.Background(), build)
	if said := w.story.String(); err == nil || strings.Count(said, "no answer") != 1 || !strings.HasSuffix(said, "`tfbake cleanup "+res.RunID+"` asks again and removes it\n") {
		t.Errorf("%v; it said\n%s", err, said)
	}
}

func TestOnErrorAsk(t *testing.T) {
	for _, c := range []struct{ answers, want string }{
		{"r", "check key init apply provision provision stop image wait destroy delete-key sweep"},
		{"c", "check key init apply provision destroy delete-key sweep"},
		{"a", "check key init apply provision keep"},
		{"", "check key init apply provision destroy delete-key sweep"}, // nobody there
	} {
		w := &world{fail: map[string][]error{"provision": {errors.New("exit 1")}}}
		b := w.baker(t)
		b.OnError = Ask
		if c.answers != "" {
			b.Asker = func(context.Context, string, string) (byte, error) { return c.answers[0], nil }
		}
		b.Run(context.Background(), build)
		w.expect(c.want)
	}
}

func TestAbortAndKeepLeaveEverything(t *testing.T) {
	w := &world{fail: map[string][]error{"provision": {errors.New("exit 1")}}}
	b := w.baker(t)
	b.OnError, b.KeepFor = Abort, time.Hour
	res, err := b.Run(context.Background(), build)
	if err == nil || !res.Kept || res.KeptUntil.IsZero() {
		t.Errorf("%+v, %v", res, err)
	}
	w.expect("check key init apply provision keep")
	if said := w.story.String(); strings.Count(said, "exit 1") != 1 || strings.Contains(said, "resources left") {
		t.Errorf("it said\n%s", said)
	}

	recs, _ := journal.List(b.RunsDir)
	if len(recs) != 1 || recs[0].Status() != "kept" || recs[0].KeptUntil().IsZero() {
		t.Errorf("the run is not kept: %+v", recs)
	}
}

// die makes a run that stopped when the call was reached, as after a SIGKILL: nothing after it is noted.
func die(t *testing.T, at string) (*world, *Baker, string) {
	w := &world{hook: map[string]func(){}}
	b := w.baker(t)
	type death struct{}
	w.hook[at] = func() { panic(death{}) }
	func() {
		defer func() {
			if r := recover(); r != (death{}) {
				panic(r)
			}
		}()
		b.Run(context.Background(), build)
	}()
	delete(w.hook, at)
	w.calls = nil
	w.run.Close()
	return w, b, w.run.Dir
}

func TestResumeLeavesOutWhatIsDone(t *testing.T) {
	for at, want := range map[string]string{
		"apply":     "destroy delete-key sweep forget key init apply provision stop image wait destroy delete-key sweep",
		"provision": "recall init apply provision stop image wait destroy delete-key sweep",
		"stop":      "recall init apply stop image wait destroy delete-key sweep",
		"image":     "recall init apply find stop image wait destroy delete-key sweep",
		"wait":      "recall init apply find wait destroy delete-key sweep",
		"destroy":   "find destroy delete-key sweep",
		"sweep":     "find destroy delete-key sweep",
	} {
		t.Run(at, func(t *testing.T) {
			w, b, dir := die(t, at)
			run, rec, err := journal.Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer run.Close()
			res, err := b.Resume(context.Background(), build, run, rec)
			if err != nil || res.Image.No != "99" {
				t.Errorf("%+v, %v", res, err)
			}
			w.expect(want)
		})
	}
}

func reopen(t *testing.T, dir string) (*journal.Run, journal.Record) {
	run, rec, err := journal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	return run, rec
}

// resumeAndDie resumes a run and dies when the n-th call of that name is reached.
func resumeAndDie(t *testing.T, w *world, b *Baker, dir, at string, n int) {
	type death struct{}
	w.hook[at] = func() {
		if n--; n == 0 {
			panic(death{})
		}
	}
	func() {
		run, rec := reopen(t, dir)
		defer func() {
			run.Close()
			if r := recover(); r != (death{}) {
				t.Fatalf("the resume did not reach %s: %v", at, w.calls)
			}
		}()
		b.Resume(context.Background(), build, run, rec)
	}()
	delete(w.hook, at)
	w.calls = nil
}

func TestAResumeThatDiedIsResumed(t *testing.T) {
	const fromNothing = "delete-key sweep forget key init apply provision stop image wait destroy delete-key sweep"
	const anew = "destroy " + fromNothing // terraform destroys nothing where its state holds nothing
	for _, c := range []struct {
		first, second string
		nth           int
		lose          bool // the state, in between
		want          string
	}{
		{"apply", "destroy", 1, false, anew},
		{"apply", "sweep", 1, false, anew},
		{"apply", "forget", 1, false, anew},
		{"apply", "key", 1, false, anew},
		{"apply", "apply", 1, false, anew},
		{"apply", "provision", 1, false, "recall init apply provision stop image wait destroy delete-key sweep"},
		// What was done before the run started over counts no more: neither its key nor its provisioners.
		{"stop", "sweep", 1, true, fromNothing},
		{"stop", "key", 1, true, fromNothing},
		{"stop", "init", 1, true, fromNothing},
		{"stop", "apply", 1, true, anew},
		{"stop", "provision", 1, true, "recall init apply provision stop image wait destroy delete-key sweep"},
		{"wait", "wait", 1, true, "find wait delete-key sweep"}, // the image is on its way: it needs no server
	} {
		t.Run(c.first+"-"+c.second, func(t *testing.T) {
			w, b, dir := die(t, c.first)
			if c.lose {
				w.state = nil
			}
			resumeAndDie(t, w, b, dir, c.second, c.nth)
			run, rec := reopen(t, dir)
			res, err := b.Resume(context.Background(), build, run, rec)
			if err != nil || res.Image.No != "99" {
				t.Errorf("%+v, %v", res, err)
			}
			w.expect(c.want)
		})
	}
}

func TestALostStateIsNotAppliedOn(t *testing.T) {
	const fromNothing = "delete-key sweep forget key init apply provision stop image wait destroy delete-key sweep"
	const anew = "destroy " + fromNothing // terraform destroys nothing where its state holds nothing
	for name, c := range map[string]struct {
		state, errored []string
		want           string
	}{
		"gone":           {nil, nil, fromNothing},
		"without server": {[]string{"8", "9"}, nil, anew},
		"errored":        {nil, []string{"7", "8"}, "recall init apply stop image wait destroy delete-key sweep"},
		"errored, too":   {nil, []string{"8"}, fromNothing},
	} {
		t.Run(name, func(t *testing.T) {
			w, b, dir := die(t, "stop")
			w.state, w.errored = c.state, c.errored
			run, rec := reopen(t, dir)
			if res, err := b.Resume(context.Background(), build, run, rec); err != nil || res.Image.No != "99" {
				t.Errorf("%+v, %v", res, err)
			}
			w.expect(c.want)
		})
	}
}

// Somebody took a resource out of the state: that is no reason to destroy a server that was kept.
func TestAnEditedStateIsNoReasonToStartOver(t *testing.T) {
	w, b, dir := die(t, "stop")
	w.state, b.OnError = []string{"7"}, Abort
	run, rec := reopen(t, dir)
	res, err := b.Resume(context.Background(), build, run, rec)
	run.Close()
	if err == nil || !strings.Contains(err.Error(), "`tfbake destroy "+res.RunID+"`") || !res.Kept {
		t.Errorf("%+v, %v", res, err)
	}
	w.expect("keep")

	// It was put back.
	w.state, w.calls, b.OnError = []string{"7", "8"}, nil, Cleanup
	run, rec = reopen(t, dir)
	if res, err := b.Resume(context.Background(), build, run, rec); err != nil || res.Image.No != "99" {
		t.Errorf("%+v, %v", res, err)
	}
	w.expect("recall init apply stop image wait destroy delete-key sweep")

	// An image that was begun needs nothing of it.
	w, b, dir = die(t, "wait")
	w.state = []string{"7"}
	run, rec = reopen(t, dir)
	if res, err := b.Resume(context.Background(), build, run, rec); err != nil || res.Image.No != "99" {
		t.Errorf("%+v, %v", res, err)
	}
	w.expect("find wait destroy delete-key sweep")
}

// A state in a backend is asked for once the directory is prepared, which may come from another machine.
func TestAStateInABackendIsAskedForOnceItCanBe(t *testing.T) {
	for at, want := range map[string]string{
		"apply":      "init destroy delete-key sweep forget key apply provision stop image wait destroy delete-key sweep",
		"stop":       "init recall apply stop image wait destroy delete-key sweep",
		"delete-key": "init find destroy delete-key sweep",
	} {
		t.Run(at, func(t *testing.T) {
			w, b, dir := die(t, at)
			run, rec := reopen(t, dir)
			run.Facts.Backend = json.RawMessage(`{"pg": {}}`)
			inits := 0
			w.hook["init"] = func() { inits++ }
			w.hook["state"] = func() {
				if inits == 0 {
					t.Error("the state was asked for before the directory was prepared")
				}
			}
			if _, err := b.Resume(context.Background(), build, run, rec); err != nil {
				t.Error(err)
			}
			w.expect(want)
		})
	}
}

// What failed once is tried again: here by the person who was asked.
func TestAnInitThatFailedOnceIsTriedAgain(t *testing.T) {
	w, b, dir := die(t, "apply")
	run, rec := reopen(t, dir)
	run.Facts.Backend = json.RawMessage(`{"pg": {}}`)
	w.fail = map[string][]error{"init": {errors.New("no answer")}}
	b.OnError, b.Asker = Ask, func(context.Context, string, string) (byte, error) { return 'r', nil }
	if res, err := b.Resume(context.Background(), build, run, rec); err != nil || res.Image.No != "99" {
		t.Errorf("%+v, %v", res, err)
	}
	w.expect("init init destroy delete-key sweep forget key apply provision stop image wait destroy delete-key sweep")
}

// keptAfter is a run that was kept for an hour because the call failed.
func keptAfter(t *testing.T, call string) (*world, *Baker, string) {
	w := &world{hook: map[string]func(){}, fail: map[string][]error{call: {errors.New("exit 1")}}}
	b := w.baker(t)
	b.OnError, b.KeepFor = Abort, time.Hour
	b.Facts.Template = "/here/bake.json"
	b.Run(context.Background(), build)
	w.run.Close()
	w.calls = nil
	return w, b, w.run.Dir
}

func TestTheEndOfKeepForStays(t *testing.T) {
	w, b, dir := keptAfter(t, "provision")
	kept, err := journal.Read(dir)
	if err != nil || kept.KeptUntil().IsZero() {
		t.Fatal(err, kept)
	}
	b.KeepFor = 0
	// The second one after a resume that died, and which says nothing of keeping any more.
	resumeAndDie(t, w, b, dir, "provision", 1)
	w.fail["provision"] = []error{errors.New("exit 1")}
	run, rec := reopen(t, dir)
	res, err := b.Resume(context.Background(), build, run, rec)
	run.Close()
	after, _ := journal.Read(dir)
	if err == nil || !res.Kept || !after.KeptUntil().Equal(kept.KeptUntil()) {
		t.Errorf("kept until %s, then until %s (%v)", kept.KeptUntil(), after.KeptUntil(), err)
	}
	b.KeepFor = 3 * time.Hour
	w.fail["provision"] = []error{errors.New("exit 1")}
	run, rec = reopen(t, dir)
	b.Resume(context.Background(), build, run, rec)
	run.Close()
	if after, _ = journal.Read(dir); after.KeptUntil().Before(kept.KeptUntil().Add(time.Hour)) {
		t.Errorf("kept until %s with a new -keep-for", after.KeptUntil())
	}
}

func TestWhatIsSaidOfAKeptRun(t *testing.T) {
	for _, c := range []struct {
		fail, template     string
		resumable, running bool
	}{
		{"provision", "/here/bake.json", true, true},
		{"apply", "/here/bake.json", true, false},
		{"wait", "/here/bake.json", true, false}, // stopped for the image
		{"provision", "-", false, true},
		{"", "/here/bake.json", false, false}, // -keep, and the image is made: resume would have nothing to do but destroy
	} {
		w := &world{}
		if c.fail != "" {
			w.fail = map[string][]error{c.fail: {errors.New("exit 1")}}
		}
		b := w.baker(t)
		b.Keep = true
		b.Facts.Template = c.template
		if res, _ := b.Run(context.Background(), build); !res.Kept || res.Resumable != c.resumable || res.Running != c.running {
			t.Errorf("%+v: %+v", c, res)
		}
	}
}

func TestProvisionersThatAreNotThere(t *testing.T) {
	steps := &config.Build{Name: "web", Type: "ncloud", Steps: []*config.Step{{Type: "shell"}, {Type: "shell"}}}
	for _, c := range []struct {
		fail      string
		from      int
		done      int // provisioners
		steps     int
		wantError string
		wantFrom  int
	}{
		{"provision", 2, 1, 2, "provisioners 1 to 2", 0},
		{"provision", 98, 1, 2, "provisioners 1 to 2", 0},
		{"provision", -1, 2, 2, "all 2 provisioners", 0},
		{"provision", 0, 0, 0, "has no provisioners", 0},
		{"wait", 0, 2, 2, "stopped for the image", 0},
		{"provision", -1, 1, 2, "", 1},
		{"provision", 0, 2, 2, "", 0},
		{"provision", 1, 2, 2, "", 1},
	} {
		w, b, dir := keptAfter(t, c.fail)
		run, _ := reopen(t, dir)
		for i := range c.done {
			run.Done(journal.Step, map[string]string{"index": fmt.Sprint(i)})
		}
		rec, err := journal.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		b.ProvisionOnly, b.Keep, b.From = true, true, c.from
		build := *steps
		build.Steps = steps.Steps[:c.steps]
		_, err = b.Resume(context.Background(), &build, run, rec)
		after, _ := journal.Read(dir)
		provisioned, _ := after.Last(journal.Provision)
		if c.wantError != "" {
			var e *Error
			if !errors.As(err, &e) || e.Stage != StageUsage || !strings.Contains(err.Error(), c.wantError) || len(w.calls) > 0 || len(after.Entries) != len(rec.Entries) {
				t.Errorf("%+v: %v, calls %v", c, err, w.calls)
			}
			continue
		}
		if err != nil || w.from != c.wantFrom || provisioned.State != journal.Done {
			t.Errorf("%+v: from %d, %v", c, w.from, err)
		}
	}
}

func TestARunOnItsWayDownIsNotResumed(t *testing.T) {
	w := &world{fail: map[string][]error{"provision": {errors.New("exit 1")}}}
	b := w.baker(t)
	b.Run(context.Background(), build)
	run, rec, err := journal.Open(w.run.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if _, err := b.Resume(context.Background(), build, run, rec); err == nil || !strings.Contains(err.Error(), "is over") {
		t.Errorf("resumed: %v", err)
	}
	cut := rec
	cut.Entries = rec.Entries[:slices.IndexFunc(rec.Entries, func(e journal.Entry) bool { return e.Step == journal.Destroy })+1]
	if err := resumable(cut); err == nil || !strings.Contains(err.Error(), "cleanup") {
		t.Errorf("a run that was being destroyed is resumable: %v", err)
	}
}

func TestResumeDoesNotCallALostImageDone(t *testing.T) {
	w, b, dir := die(t, "sweep")
	w.image = snapshot.Image{} // deleted since
	run, rec, err := journal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	b.OnError = Abort // as resume does
	res, err := b.Resume(context.Background(), build, run, rec)
	var e *Error
	if !errors.As(err, &e) || e.Stage != StageImage || !strings.Contains(err.Error(), "is gone") || res.Image.No != "" || res.Dir == "" {
		t.Errorf("%+v, %v", res, err)
	}
	w.expect("find keep")
}

func TestAnImageThatCannotBeSharedIsInTheResult(t *testing.T) {
	boom := errors.New("no such member")
	w := &world{fail: map[string][]error{"share": {boom}}, share: []string{"4711"}}
	res, err := w.baker(t).Run(context.Background(), build)
	if !errors.Is(err, boom) || res.Image.No != "99" {
		t.Errorf("%+v, %v", res, err)
	}
	w.expect("check key init apply provision stop image wait share destroy delete-key sweep")
}

func TestAnInterruptEndsTheMakingOfTheParts(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("Ctrl-C")
	w := &world{hook: map[string]func(){"parts": func() { cancel(stop) }}}
	b := w.baker(t)
	_, err := b.Run(ctx, build)
	if !errors.Is(err, stop) {
		t.Errorf("error %v does not tell the cause", err)
	}
	w.expect("check")
	if recs, _ := journal.List(b.RunsDir); len(recs) > 0 {
		t.Errorf("a run directory stayed: %v", recs)
	}
}

func TestThePauseBeforeTheWayDownEndsWithTheBake(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{hook: map[string]func(){"provision": cancel}}
	paused := false
	w.beforeDown = func(ctx context.Context) {
		<-ctx.Done()
		paused = !slices.Contains(w.calls, "destroy")
	}
	if _, err := w.baker(t).Run(ctx, build); !errors.Is(err, context.Canceled) || !paused {
		t.Errorf("paused before the way down: %v; %v", paused, err)
	}
	w.expect("check key init apply provision destroy delete-key sweep")
}

func TestNoSecretComesIntoTheJournal(t *testing.T) {
	w := &world{fail: map[string][]error{"provision": {errors.New("cannot start /bin/hunter2")}, "destroy": {errors.New("hunter2 again")}}}
	b := w.baker(t)
	b.Redact = func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") }
	b.Run(context.Background(), build)
	text, err := journal.Text(w.run.Dir)
	if err != nil || strings.Contains(string(text), "hunter2") || strings.Count(string(text), "***") != 3 { // provision, destroy, end
		t.Errorf("%v\n%s", err, text)
	}
}
