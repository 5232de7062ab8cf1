package bake

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
)

// planFile holds a run's choices, so that whoever resumes it makes the same ones.
const planFile = "plan.json"

func encodePlan(p config.Resolved) ([]byte, error) {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the run's choices: %w", err)
	}
	return append(b, '\n'), nil
}

// LoadPlan reads the choices of a run.
func LoadPlan(dir string) (config.Resolved, error) {
	var p config.Resolved
	b, err := os.ReadFile(filepath.Join(dir, planFile))
	if err != nil {
		return p, fmt.Errorf("read the run's choices: %w", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("read the run's choices in %s: %w", filepath.Join(dir, planFile), err)
	}
	return p, nil
}

// resumable says why a run cannot be resumed, or nil.
func resumable(rec journal.Record) error {
	id := rec.Facts.RunID
	if _, over := rec.Last(journal.End); over {
		return fmt.Errorf("run %s is over: nothing is there to go on with", id)
	}
	if destroying(rec) {
		if wait, ok := rec.Last(journal.ImageWait); !ok || wait.State != journal.Done {
			return fmt.Errorf("run %s was being destroyed: `tfbake cleanup %s` finishes that", id, id)
		}
	}
	if _, ok := rec.Last(journal.Render); !ok {
		return errors.New("run " + id + " stopped before it created anything: bake again")
	}
	return nil
}

// destroying tells whether the run was on its way down when it stopped. The destroy of a run that starts over is another
// step.
func destroying(rec journal.Record) bool {
	for i := len(rec.Entries) - 1; i >= 0; i-- {
		switch rec.Entries[i].Step {
		case journal.Render, journal.StartOver:
			return false
		case journal.Destroy:
			return true
		}
	}
	return false
}

// life is what a journal says of the run as it is now: what was done before it started over, or on a server that is gone,
// is to be done again.
func life(rec journal.Record) journal.Record {
	out := rec
	out.Entries = nil
	server := ""
	for _, e := range rec.Entries {
		switch {
		case e.Step == journal.StartOver:
			out.Entries, server = nil, ""
		case e.Step == journal.Apply && e.State == journal.Done:
			if server != "" && server != e.Data["server_no"] {
				out.Entries = slices.DeleteFunc(out.Entries, func(e journal.Entry) bool { return slices.Contains(onServer, e.Step) })
			}
			server = e.Data["server_no"]
		}
		out.Entries = append(out.Entries, e)
	}
	return out
}

// onServer are the steps whose work is gone with the server.
var onServer = []string{journal.Provision, journal.Step, journal.Stop, journal.Image, journal.ImageWait, journal.Share}

// Server returns the number of the run's server, empty when none is known.
func Server(rec journal.Record) string { return life(rec).Value("server_no") }

// keptUntil is the end of the time that a run was to be kept for when it was kept last; zero: none was set.
func keptUntil(rec journal.Record) time.Time {
	kept, _ := rec.Last(journal.Keep)
	t, _ := time.Parse(time.RFC3339, kept.Data["until"]) // zero when there is none
	return t
}

// provisionable says why the provisioners of a run cannot be run again from the given one (from 0; -1: the one that did
// not finish), or nil.
func provisionable(rec journal.Record, steps, from int) error {
	id := rec.Facts.RunID
	rec = life(rec)
	next := rec.NextProvisioner()
	switch stop, _ := rec.Last(journal.Stop); {
	case stop.State == journal.Done:
		return fmt.Errorf("the server of run %s was stopped for the image, and takes no provisioners any more", id)
	case steps == 0:
		return fmt.Errorf("the template of run %s has no provisioners", id)
	case from >= steps:
		return fmt.Errorf("-from %d: run %s has provisioners 1 to %d", from+1, id, steps)
	case from < 0 && next >= steps:
		return fmt.Errorf("all %d provisioners of run %s have run: -from N runs them again from the Nth, `tfbake resume %s` makes the image", steps, id, id)
	}
	return nil
}
