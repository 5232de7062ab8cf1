package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/journal"
)

func cmdLogs(ctx context.Context, a *app, args []string) error {
	f := a.flags("logs", "RUN", "Prints what a run told while it ran, and its journal with -journal. Of another machine's run the backend has the\njournal; what it told stays in its directory there.")
	var o cloudFlags
	f.StringVar(&o.terraform, "terraform", a.getenv("TFBAKE_TERRAFORM"), "the terraform or tofu program; default the first in PATH")
	f.StringVar(&o.backend, "backend", a.getenv("TFBAKE_BACKEND"), backendUsage)
	asJournal := f.Bool("journal", false, "the journal: what was begun, and what came of it")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	dir, notHere := a.findRun(rest[0])
	if notHere != nil {
		return a.sharedLogs(ctx, rest[0], o, *asJournal, notHere)
	}
	if !*asJournal {
		b, err := os.ReadFile(filepath.Join(dir, bake.StoryFile))
		if err != nil {
			return fmt.Errorf("run %s has no log: %w", filepath.Base(dir), err)
		}
		_, err = a.stdout.Write(b)
		return err
	}
	rec, err := journal.Read(dir)
	if err != nil {
		return err
	}
	a.printJournal(rec)
	return nil
}

// sharedLogs prints what there is of a run of another machine.
func (a *app) sharedLogs(ctx context.Context, name string, o cloudFlags, asJournal bool, notHere error) error {
	id, note, err := a.sharedNote(ctx, name, o, "logs", notHere)
	if err != nil {
		return err
	}
	if !asJournal {
		where := "the machine it ran on"
		if note.Owner != nil {
			where = note.Owner.Host
		}
		return failWith(exitUsage, fmt.Errorf("what run %s told is in its directory on %s (.tfbake/runs/%s/%s); the backend has its journal: `tfbake logs -journal %s`", id, where, id, bake.StoryFile, id))
	}
	rec, err := note.Record(clock.Now())
	if err != nil {
		return err
	}
	a.printJournal(rec)
	return nil
}

func (a *app) printJournal(rec journal.Record) {
	for _, e := range rec.Entries {
		fmt.Fprintf(a.stdout, "%s  %-17s %-6s", e.Time.Local().Format(time.DateTime), e.Step, e.State)
		for _, k := range []string{"index", "type", "server_no", "public_ip", "image_name", "image_no", "left", "until"} {
			if v := e.Data[k]; v != "" {
				fmt.Fprintf(a.stdout, " %s=%s", k, v)
			}
		}
		if e.Message != "" {
			fmt.Fprintf(a.stdout, " %s", e.Message)
		}
		fmt.Fprintln(a.stdout)
	}
}
