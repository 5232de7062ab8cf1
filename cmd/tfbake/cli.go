package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/ui"
)

// Exit codes. They are part of the interface: docs/commands.md lists them, scripts decide by them.
const (
	exitOK          = 0
	exitFailed      = 1   // something else failed
	exitUsage       = 2   // wrong flags or arguments
	exitTemplate    = 3   // the template is invalid
	exitPreflight   = 4   // the account cannot bake this template: credentials, codes, names, quotas
	exitInfra       = 5   // terraform or the cloud failed to create the server
	exitProvision   = 6   // a provisioner or the connection failed
	exitImage       = 7   // the image could not be made
	exitLeftovers   = 8   // resources of the run are left; wins over the codes above
	exitInterrupted = 130 // Ctrl-C or SIGTERM
)

// exitError carries the exit code of an error to Main.
type exitError struct {
	code int
	err  error // nil: everything was said already
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func failWith(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: code, err: err}
}

// host is the outside of the program: what it reads and where it writes.
type host struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) (string, bool)
	environ        func() []string
	interactive    bool // a person can answer questions on stdin
}

func system() host {
	return host{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		env: os.LookupEnv, environ: os.Environ,
		interactive: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
	}
}

func (h host) getenv(name string) string { v, _ := h.env(name); return v }

// app is what every command works with.
type app struct {
	host
	redact *redact.Redactor
	story  *ui.Story

	// cwd is where relative paths begin, as with Packer: where the user stands, not where the template is.
	cwd      string
	loadedAt time.Time // what {{timestamp}} says, the same for the whole command

	runsDir string
	hard    context.Context        // ends with the second signal: stop at once, clean up later
	notice  atomic.Pointer[notice] // for signals, which come while the command sets up what it tells with

	machine *machineWriter // -machine-readable; nil: for people
	log     *debugLog      // PACKER_LOG; nil: none
}

// notice is how a signal is told: where, and what the first one makes us do.
type notice struct {
	story       *ui.Story
	onInterrupt string
}

// tellWith sets where the command tells its story from now on, and what a signal makes it do.
func (a *app) tellWith(story *ui.Story, onInterrupt string) {
	a.story = story
	a.notice.Store(&notice{story, onInterrupt})
}

// command is one subcommand of tfbake.
type command struct {
	name, args, short string
	hidden            bool
	run               func(ctx context.Context, a *app, args []string) error
}

func commands() []command {
	return []command{
		{name: "run", args: "TEMPLATE", short: "bake the images of a template", run: cmdRun},
		{name: "build", args: "TEMPLATE", short: "the same, under Packer's name", hidden: true, run: cmdRun},
		{name: "validate", args: "TEMPLATE", short: "check a template without talking to the cloud", run: cmdValidate},
		{name: "inspect", args: "TEMPLATE", short: "show what a template holds", run: cmdInspect},
		{name: "console", args: "[TEMPLATE]", short: "evaluate expressions as a template would", run: cmdConsole},
		{name: "fmt", args: "[FILE|DIR|-]…", short: "lay out HCL2 files", run: cmdFmt},
		{name: "fix", args: "TEMPLATE", short: "turn an old JSON template into a valid one", run: cmdFix},
		{name: "hcl2-upgrade", args: "TEMPLATE", short: "write a JSON template as HCL2", run: cmdUpgrade},
		{name: "hcl2_upgrade", args: "TEMPLATE", short: "the same, under Packer's name", hidden: true, run: cmdUpgrade},
		{name: "init", args: "[TEMPLATE]", short: "find or fetch terraform and the provider", run: cmdInit},
		{name: "render", args: "-o DIR TEMPLATE", short: "write the Terraform root module of a template", run: cmdRender},
		{name: "runs", short: "list the runs that are under way, kept or were cut off", run: cmdRuns},
		{name: "destroy", args: "RUN", short: "destroy what a run left in the cloud", run: cmdDestroy},
		{name: "cleanup", args: "RUN…|-all|-orphans", short: "the same for many, also for runs whose directories are gone", run: cmdCleanup},
		{name: "resume", args: "RUN", short: "go on with a kept or dead run", run: cmdResume},
		{name: "provision", args: "[-from N] RUN", short: "run the provisioners of a kept run again", run: cmdProvision},
		{name: "ssh", args: "RUN [COMMAND…]", short: "log in to a run's server, or run a command there", run: cmdSSH},
		{name: "state", args: "RUN [list|show …]", short: "terraform's view of a run", run: cmdState},
		{name: "logs", args: "RUN", short: "what a run told while it ran", run: cmdLogs},
		{name: "local", args: "serve|inventory|reset", short: "the simulated cloud, for trying without an account", run: cmdLocal},
		{name: "completion", args: "bash|zsh|fish", short: "print a shell's completion script", run: cmdCompletion},
		{name: "plugins", hidden: true, run: cmdPlugins},
		{name: "sbom-generate", hidden: true, run: notHere("sbom-generate is Packer's: tfbake makes no software bill of materials yet")},
		{name: "verify-attestation", hidden: true, run: notHere("verify-attestation is Packer's: tfbake writes no attestations")},
		{name: "version", short: "print tfbake's version", run: cmdVersion},
	}
}

// Main runs tfbake with the given arguments and returns the exit code.
func Main(args []string, h host) int {
	var err error
	a := &app{host: h, redact: redact.New()}
	if a.cwd, err = os.Getwd(); err != nil {
		return a.exitCode(err)
	}
	endLog, err := a.openLog(args)
	if err != nil {
		return a.exitCode(failWith(exitUsage, err))
	}
	a.runsDir = filepath.Join(".tfbake", "runs")
	if d := a.getenv("TFBAKE_DIR"); d != "" {
		a.runsDir = filepath.Join(d, "runs")
	}
	a.tellWith(ui.New(a.stderr, a.redact, ui.Options{}), "stopping")
	ctx, hard, stop := a.signals()
	defer stop()
	a.hard = hard
	a.loadedAt = clock.Now().UTC().Truncate(time.Second)

	if len(args) == 0 {
		usage(h.stderr)
		return exitUsage
	}
	switch name := strings.TrimLeft(args[0], "-"); name {
	case "h", "help":
		if len(args) == 2 && !strings.HasPrefix(args[1], "-") {
			args = []string{args[1], "-h"} // tfbake help run
			break
		}
		usage(h.stdout)
		return exitOK
	case "v":
		args[0] = "version"
	case "version":
		args[0] = name
	}
	for _, c := range commands() {
		if c.name == args[0] {
			code := a.exitCode(c.run(ctx, a, args[1:]))
			endLog(code)
			return code
		}
	}
	fmt.Fprintf(h.stderr, "tfbake: unknown command %q%s\n\n", args[0], didYouMean(args[0]))
	usage(h.stderr)
	return exitUsage
}

func (a *app) exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{code: exitFailed, err: err}
	}
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if e.err != nil {
		fmt.Fprintln(a.stderr, a.redact.String("tfbake: "+e.err.Error()))
	}
	return e.code
}

func usage(w io.Writer) {
	fmt.Fprint(w, "tfbake bakes server images on NAVER Cloud.\n\nUsage: tfbake COMMAND [flags] …\n\n")
	for _, c := range commands() {
		if !c.hidden {
			fmt.Fprintf(w, "  %-32s %s\n", strings.TrimSpace(c.name+" "+c.args), c.short)
		}
	}
	fmt.Fprint(w, "\n`tfbake COMMAND -h` lists a command's flags; -flag and --flag are the same.\n")
}

// flags is a command's flag set. Flags may stand before and after the arguments, with one dash or two.
type flags struct {
	*flag.FlagSet
	args string
}

func (a *app) flags(name, args, about string) flags {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(a.stderr)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "Usage: %s\n\n%s\n", usageLine(name, args), about)
		some := false
		fs.VisitAll(func(*flag.Flag) { some = true })
		if some {
			fmt.Fprint(fs.Output(), "\nFlags:\n")
			fs.PrintDefaults()
		}
	}
	return flags{fs, args}
}

func usageLine(name, args string) string {
	return strings.TrimSpace("tfbake " + name + " [flags] " + args)
}

// parse returns the arguments that are not flags; there must be between min and max of them.
func (f flags) parse(args []string, min, max int) ([]string, error) {
	var rest []string
	for {
		if err := f.parseFlags(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				f.Usage()
				return nil, err
			}
			return nil, f.misused(err)
		}
		args = f.Args()
		if len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	if len(rest) < min || len(rest) > max {
		return nil, f.misused(fmt.Errorf("%s takes %s, got %d", f.Name(), arguments(min, max), len(rest)))
	}
	return rest, nil
}

// parseFlags is Parse without its page of flags, in which the one line that says what is wrong would be lost.
func (f flags) parseFlags(args []string) error {
	out, page := f.Output(), f.FlagSet.Usage
	f.SetOutput(io.Discard)
	f.FlagSet.Usage = func() {}
	err := f.FlagSet.Parse(args)
	f.SetOutput(out)
	f.FlagSet.Usage = page
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var known []string
		f.VisitAll(func(g *flag.Flag) { known = append(known, g.Name) })
		err = fmt.Errorf("%s has no flag -%s", f.Name(), name)
		if near := ncloud.Nearest(name, known, 1); len(near) > 0 {
			err = fmt.Errorf("%w; did you mean -%s?", err, near[0])
		}
	}
	if said, ok := strings.CutSuffix(err.Error(), ": parse error"); ok {
		if g := f.Lookup(said[strings.LastIndex(said, " -")+2:]); g != nil {
			if v, ok := g.Value.(flag.Getter); ok {
				switch v.Get().(type) {
				case time.Duration:
					err = fmt.Errorf("%s: it takes a time with its unit, such as 2h", said)
				case int:
					err = fmt.Errorf("%s: it takes a whole number", said)
				}
			}
		}
	}
	return err
}

func (f flags) misused(err error) error {
	return failWith(exitUsage, fmt.Errorf("%w\nusage: %s (tfbake %s -h lists the flags)", err, usageLine(f.Name(), f.args), f.Name()))
}

func arguments(min, max int) string {
	switch {
	case min == max && min == 1:
		return "one argument"
	case min == max:
		return fmt.Sprintf("%d arguments", min)
	}
	return fmt.Sprintf("%d to %d arguments", min, max)
}

// listFlag collects a flag that may be given several times.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

// signals returns two contexts: ctx ends with the first Ctrl-C or SIGTERM and starts the way down; hard ends with the
// second and gives up the way down, too.
func (a *app) signals() (ctx, hard context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	hard, cancelHard := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // by nohup
		signal.Notify(ch, syscall.SIGHUP) // the terminal was closed
	}
	// A reader of our output that goes away (`tfbake run | head -1`) must not kill a bake that has a server running. Not
	// signal.Ignore: that would be handed down to shell-local's commands.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	done := make(chan struct{})
	var once sync.Once
	go func() {
		for n := 0; ; n++ {
			select {
			case s := <-ch:
				if n == 0 {
					tell := a.notice.Load()
					tell.story.Say("%s: %s", signalName(s), tell.onInterrupt)
					cancel(&interrupted{s})
					continue
				}
				a.notice.Load().story.Error("%s again: stopping at once", signalName(s))
				signal.Stop(ch) // a third one ends the process
				cancelHard(&interrupted{s})
				return
			case <-done:
				return
			}
		}
	}()
	return ctx, hard, func() {
		once.Do(func() { signal.Stop(ch); close(done); cancel(nil); cancelHard(nil) })
	}
}

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ signal os.Signal }

func (i *interrupted) Error() string { return "interrupted by " + signalName(i.signal) }

func signalName(s os.Signal) string {
	if s == os.Interrupt {
		return "Ctrl-C"
	}
	return s.String()
}

func didYouMean(word string) string {
	var known []string
	for _, c := range commands() {
		if !c.hidden {
			known = append(known, c.name)
		}
	}
	if near := ncloud.Nearest(word, known, 1); len(near) > 0 {
		return fmt.Sprintf("; did you mean %q?", near[0])
	}
	letters := func(s string) string { b := []byte(s); slices.Sort(b); return string(b) }
	for _, name := range known {
		if letters(name) == letters(word) { // rnu
			return fmt.Sprintf("; did you mean %q?", name)
		}
	}
	return ""
}
