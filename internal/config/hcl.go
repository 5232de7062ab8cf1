package config

import (
	"context"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

type namedText struct {
	name string
	text []byte
}

// DataSource answers data "ncloud-image|ncloud-spec|ncloud-subnet" blocks.
type DataSource interface {
	// Read returns the attributes of the thing that the arguments describe, an object.
	Read(ctx context.Context, typ string, args cty.Value) (cty.Value, error)
}

func notYet() hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "HCL2 templates cannot be read yet"}}
}

func loadHCL(path string, files []namedText, o Options) (*Template, hcl.Diagnostics) {
	return nil, notYet()
}

func loadDir(path string, o Options) (*Template, hcl.Diagnostics) { return nil, notYet() }

func (l *jsonLoader) hclVarFile(src *source) []jsonMember {
	l.diags = append(l.diags, notYet()...)
	return nil
}
