package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/shared"
)

// runRow is one run as `tfbake runs -json` prints it.
type runRow struct {
	Run      string    `json:"run"`
	Status   string    `json:"status"`
	Started  time.Time `json:"started"`
	Build    string    `json:"build"`
	Image    string    `json:"image_name"`
	ImageNo  string    `json:"image_no,omitempty"`
	Platform string    `json:"platform"`
	Region   string    `json:"region"`
	LastStep string    `json:"last_step"`
	Left     string    `json:"left,omitempty"` // resources, by the API's word, of a run that is over
	Dir      string    `json:"dir"`
	// Holder is who works on a run of the backend: process, machine, last sign of life.
	Holder *shared.Owner `json:"holder,omitempty"`
}

func cmdRuns(ctx context.Context, a *app, args []string) error {
	f := a.flags("runs", "", "Lists the runs whose directories are here, and with -backend those of other machines: under way, kept, failed or\ncut off. A clean run leaves none.")
	var o cloudFlags
	f.StringVar(&o.terraform, "terraform", a.getenv("TFBAKE_TERRAFORM"), "the terraform or tofu program; default the first in PATH")
	f.StringVar(&o.backend, "backend", a.getenv("TFBAKE_BACKEND"), backendUsage)
	asJSON := f.Bool("json", false, "print JSON")
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	recs, err := journal.List(a.runsDir)
	if err != nil {
		return err
	}
	there, err := a.sharedRuns(ctx, o)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, r := range there {
		known[r.Facts.RunID] = true
	}
	more, gone := a.elsewhere(ctx, slices.DeleteFunc(slices.Clone(recs), func(r journal.Record) bool { return known[r.Facts.RunID] }), o)
	there = append(there, more...)
	slices.SortFunc(there, func(a, b sharedRun) int { return strings.Compare(a.Facts.RunID, b.Facts.RunID) })
	rows := make([]runRow, 0, len(recs)+len(there))
	held := false
	for _, r := range withShared(recs, there) {
		line := row(r.Record)
		if slices.Contains(gone, line.Run) {
			line.Status, line.Left = "gone", "0" // only then does a machine take a run out of the backend
			a.story.Info("run %s was finished or cleaned up from another machine: `tfbake cleanup %s` removes its directory here", line.Run, line.Run)
		}
		if r.Working {
			line.Holder = r.owner
		}
		held = held || line.Holder != nil
		rows = append(rows, line)
	}
	if *asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	if len(rows) == 0 {
		fmt.Fprintf(a.stderr, "no runs in %s\n", a.runsDir)
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	heading, tail := "RUN\tSTATUS\tSTARTED\tBUILD\tIMAGE\tREGION\tLAST STEP\tLEFT", ""
	if held {
		heading += "\tHELD BY"
	}
	fmt.Fprintln(w, heading)
	for _, r := range rows {
		if tail = ""; r.Holder != nil {
			tail = "\t" + r.Holder.Short(clock.Now())
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s %s\t%s\t%s%s\n", r.Run, r.Status, r.Started.Local().Format("2006-01-02 15:04:05"), r.Build, r.Image, r.Platform, r.Region, r.LastStep, left(r), tail)
	}
	return w.Flush()
}

func row(r journal.Record) runRow {
	out := runRow{Run: r.Facts.RunID, Status: r.Status(), Started: r.Facts.Started, Build: r.Facts.Build, Image: r.Facts.ImageName,
		Platform: r.Facts.Platform, Region: r.Facts.Region, ImageNo: r.Value("image_no"), Dir: r.Dir}
	if end, ok := r.Last(journal.End); ok {
		out.Left = end.Data["left"]
	}
	out.LastStep = lastStep(r.Entries)
	return out
}

// lastStep tells what a run did last. Of one that was kept because a step failed it is that step.
func lastStep(entries []journal.Entry) string {
	n := len(entries)
	if n > 1 && entries[n-1].Step == journal.Keep && entries[n-2].State != journal.Done {
		n--
	}
	// What failed all provisioning was one provisioner, unless the connection did.
	if n > 1 && entries[n-1].Step == journal.Provision && entries[n-2].Step == journal.Step && entries[n-2].State == journal.Failed {
		n--
	}
	if n == 0 {
		return ""
	}
	e := entries[n-1]
	if i, err := strconv.Atoi(e.Data["index"]); err == nil && e.Step == journal.Step {
		return fmt.Sprintf("%s %d (%s)", e.Step, i+1, e.State) // counted from 1, as -from does
	}
	return fmt.Sprintf("%s (%s)", e.Step, e.State)
}

// left says how many resources of a run are left, as far as that was asked.
func left(r runRow) string {
	if r.Left == "" {
		return "?"
	}
	return r.Left
}

// errNoRun is in the errors that say so.
var errNoRun = errors.New("there is no run")

// findRun returns the directory of the run that the user named by id, by an unambiguous beginning of it, or by its path.
func (a *app) findRun(name string) (string, error) {
	if journal.IsRun(name) {
		return name, nil
	}
	if dir := filepath.Join(a.runsDir, wholeID(name)); wholeID(name) != "" && journal.IsRun(dir) {
		return dir, nil
	}
	recs, err := journal.List(a.runsDir)
	if err != nil {
		return "", err
	}
	var found []string
	for _, r := range recs {
		if id := r.Facts.RunID; id == name || config.RunName(id) == name {
			return r.Dir, nil
		} else if len(name) >= 6 && len(id) > len(name) && id[:len(name)] == name {
			found = append(found, r.Dir)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", failWith(exitUsage, fmt.Errorf("%w %q in %s: `tfbake runs` lists them", errNoRun, name, a.runsDir))
	}
	return "", failWith(exitUsage, errors.New("more than one run begins with "+name+": name it in full"))
}
