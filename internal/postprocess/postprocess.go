// Package postprocess runs the template's post-processors on this machine after an image was baked.
package postprocess

import (
	"context"
	"errors"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/ui"
)

// Options say what Run does and with what.
type Options struct {
	Sequences [][]*config.Step // config.Build.PostProcessors
	Values    config.RunValues // with ImageNo, ImageName, Region, Platform
	Story     *ui.Story
	Redactor  *redact.Redactor
	Dir       string // the template's directory: relative paths and shell-local start here
}

// Run runs every sequence in order and returns the errors of all that failed.
func Run(ctx context.Context, o Options) error { return errors.New("post-processors: not yet built") }
