package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/terraform-exec/tfexec"
)

// ForgetBrokenState puts a damaged local state (0 bytes, cut off) out of terraform's sight, which would refuse to work with
// it or, worse, take it for an empty one. It is kept beside it, under the name terraform.tfstate.broken. A sound state
// stays. The caller has made sure through the API that nothing exists that only this state knew.
func (t *Terraform) ForgetBrokenState() error {
	dir := t.o.Dir
	_, sound, err := StateIsEmpty(dir)
	if err != nil || sound {
		return err
	}
	path := filepath.Join(dir, StateFile)
	err = os.Rename(path, path+".broken")
	for _, name := range []string{StateFile + ".backup", "." + StateFile + ".lock.info"} {
		if rm := os.Remove(filepath.Join(dir, name)); rm != nil && !errors.Is(rm, os.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	if err != nil {
		return fmt.Errorf("put the broken state aside: %w", err)
	}
	return nil
}

// UseErroredState puts the state that terraform could not write where it belongs (errored.tfstate) in the place of the
// present one, if there is one that is good, and tells whether there was. A local state it replaces is kept beside it, under
// the name terraform.tfstate.broken.
func (t *Terraform) UseErroredState(ctx context.Context, good func(State) bool) (bool, error) {
	errored := filepath.Join(t.o.Dir, ErroredFile)
	state, err := ReadStateFile(errored)
	if err != nil || !good(state) {
		return false, err
	}
	if t.remote() {
		_, err := t.run(ctx, "state push", func(ctx context.Context, tf *tfexec.Terraform, _ *lines) error {
			return tf.StatePush(ctx, errored, tfexec.Force(true)) // what is there is known to be wrong
		})
		if err != nil {
			return false, err
		}
		return true, os.Remove(errored)
	}
	path := filepath.Join(t.o.Dir, StateFile)
	if err := os.Rename(path, path+".broken"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("put the broken state aside: %w", err)
	}
	if err := os.Rename(errored, path); err != nil {
		return false, fmt.Errorf("use %s: %w", ErroredFile, err)
	}
	return true, nil
}
