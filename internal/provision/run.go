package provision

import (
	"context"
	"errors"
	"fmt"
)

// Run runs the steps in order and returns a *StepError for the first that fails.
func Run(ctx context.Context, o Options) error { return errors.New("provisioning: not yet built") }

func (e *StepError) Error() string { return fmt.Sprintf("provisioner %d: %s", e.Index+1, e.Err) }

func (e *StepError) Unwrap() error { return e.Err }
