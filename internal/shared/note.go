package shared

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/terraform"
)

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
