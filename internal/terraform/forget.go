package terraform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
