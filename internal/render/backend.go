package render

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// write adds the backend block to a terraform block.
func (be *Backend) write(t *hclwrite.Body) error {
	if !hclsyntax.ValidIdentifier(strings.ReplaceAll(be.Type, "-", "_")) {
		return fmt.Errorf("backend type %q is not a name", be.Type)
	}
	b := t.AppendNewBlock("backend", []string{be.Type}).Body()
	for _, name := range sorted(be.Args) {
		if err := setAttribute(b, name, be.Args[name]); err != nil {
			return fmt.Errorf("backend %s: %w", be.Type, err)
		}
	}
	return nil
}

// BackendOnly returns the files of a root module that holds nothing but the backend: for looking at states and workspaces.
func BackendOnly(be *Backend) (Files, error) {
	f := hclwrite.NewEmptyFile()
	if err := be.write(f.Body().AppendNewBlock("terraform", nil).Body()); err != nil {
		return nil, err
	}
	return Files{"main.tf": hclwrite.Format(f.Bytes())}, nil
}
