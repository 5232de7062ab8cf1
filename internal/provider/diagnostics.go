package provider

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/zclconf/go-cty/cty"
)

// failure is an error as Terraform shows it: the first line is what was being done, the rest why.
func failure(summary string, err error) *tfprotov6.Diagnostic {
	return &tfprotov6.Diagnostic{Severity: tfprotov6.DiagnosticSeverityError, Summary: summary, Detail: err.Error()}
}

// at points a diagnostic to an attribute.
func at(d *tfprotov6.Diagnostic, p cty.Path) *tfprotov6.Diagnostic {
	d.Attribute = wirePath(p)
	return d
}

func wirePath(p cty.Path) *tftypes.AttributePath {
	out := tftypes.NewAttributePath()
	for _, step := range p {
		switch step := step.(type) {
		case cty.GetAttrStep:
			out = out.WithAttributeName(step.Name)
		case cty.IndexStep:
			if step.Key.Type() == cty.Number {
				n, acc := step.Key.AsBigFloat().Int64()
				if acc == big.Exact {
					out = out.WithElementKeyInt(int(n))
				}
			}
		}
	}
	return out
}

func pathText(p cty.Path) string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case cty.GetAttrStep:
			fmt.Fprintf(&b, ".%s", step.Name)
		case cty.IndexStep:
			if step.Key.Type() == cty.Number {
				fmt.Fprintf(&b, "[%s]", step.Key.AsBigFloat().Text('f', 0))
			}
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}
