package terraform

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/hashicorp/terraform-exec/tfexec"
)

// Change is one thing a plan would do.
type Change struct{ Address, Action string }

// Plan tells what Apply would do. tfbake needs no plan; the tests do, to prove that nothing is left to do.
func (t *Terraform) Plan(ctx context.Context) (changes []Change, err error) {
	var out bytes.Buffer
	_, err = t.run(ctx, "plan", func(ctx context.Context, tf *tfexec.Terraform, lines *lines) error {
		_, err := tf.PlanJSON(ctx, io.MultiWriter(lines, &out), tfexec.Reattach(t.reattach()), tfexec.Parallelism(t.o.Parallelism), tfexec.LockTimeout(lockTimeout(t.o)))
		return err
	})
	for dec := json.NewDecoder(&out); err == nil && dec.More(); {
		var e struct {
			Type   string
			Change struct {
				Resource struct{ Addr string }
				Action   string
			}
		}
		if err = dec.Decode(&e); err == nil && e.Type == "planned_change" {
			changes = append(changes, Change{e.Change.Resource.Addr, e.Change.Action})
		}
	}
	return changes, err
}
