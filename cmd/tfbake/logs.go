package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/journal"
)

func cmdLogs(_ context.Context, a *app, args []string) error {
	f := a.flags("logs", "RUN", "Prints what a run told while it ran, and its journal with -journal.")
	asJournal := f.Bool("journal", false, "the journal: what was begun, and what came of it")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	dir, err := a.findRun(rest[0])
	if err != nil {
		return err
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
	return nil
}
