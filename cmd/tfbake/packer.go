package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// packerFlags are flags of Packer's that scripts pass and that have nothing to change here.
type packerFlags struct {
	warnUndeclared bool
	machine        bool

	prerelease, skipEnforcement, sequential bool
}

func (p *packerFlags) register(f flags) {
	f.BoolVar(&p.prerelease, "ignore-prerelease-plugins", false, "accepted for Packer's sake: there are no plugins")
	f.BoolVar(&p.skipEnforcement, "skip-enforcement", false, "accepted for Packer's sake: nothing is enforced")
	f.BoolVar(&p.sequential, "use-sequential-evaluation", false, "accepted for Packer's sake: locals and data are worked out in the order they need each other")
}

// note says once what the flags of no effect would have done.
func (p packerFlags) note(a *app) {
	if p.prerelease {
		a.story.Info("-ignore-prerelease-plugins has no effect: tfbake has no plugins")
	}
	if p.skipEnforcement {
		a.story.Info("-skip-enforcement has no effect: tfbake knows no HCP enforcement")
	}
	if p.sequential {
		a.story.Info("-use-sequential-evaluation has no effect: locals and data sources are worked out in the order they need each other")
	}
}

// imageTaken begins preflight's finding that an image of the name exists.
const imageTaken = "There is already an image called"

// explainForce says why -force does not help against a taken name.
func explainForce(diags hcl.Diagnostics) {
	for _, d := range diags {
		if strings.HasPrefix(d.Summary, imageTaken) {
			d.Detail += " -force does not overwrite it: no two images can have one name and none can be renamed, so the old one would be gone before the new one is proven."
		}
	}
}

// cmdPlugins answers Packer's plugins command.
func cmdPlugins(_ context.Context, a *app, args []string) error {
	if len(args) > 0 && (args[0] == "installed" || args[0] == "required") {
		fmt.Fprintln(a.stderr, "tfbake has no plugins: the ncloud builder, the provisioners and the post-processors are built in")
		return nil // none is the answer
	}
	return failWith(exitUsage, errors.New("tfbake has no plugins to install or remove: the ncloud builder, the provisioners and the post-processors are built in; `tfbake init` fetches what a bake needs"))
}

// notHere answers Packer's commands that tfbake does not have.
func notHere(why string) func(context.Context, *app, []string) error {
	return func(context.Context, *app, []string) error { return failWith(exitUsage, errors.New(why)) }
}
