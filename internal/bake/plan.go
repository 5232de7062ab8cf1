package bake

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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

// destroying tells whether the run was on its way down when it stopped: a destroy after the last time the module was
// written, for a run that starts over destroys first and then writes it anew.
func destroying(rec journal.Record) bool {
	for i := len(rec.Entries) - 1; i >= 0; i-- {
		switch rec.Entries[i].Step {
		case journal.Render:
			return false
		case journal.Destroy:
			return true
		}
	}
	return false
}
