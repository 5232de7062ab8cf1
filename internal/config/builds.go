package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// checkBuilds holds the rules that need a build whole, or all builds of a template.
func checkBuilds(builds []*Build) (diags hcl.Diagnostics) {
	for i, b := range builds {
		diags = append(diags, checkConnection(b)...)
		for _, other := range builds[:i] {
			if sameImage(b, other) {
				diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Subject: b.Source.Range("server_image_name").Ptr(),
					Summary: fmt.Sprintf("Two builds would bake an image called %q", b.Source.ServerImageName),
					Detail:  fmt.Sprintf("%s does (%s), and so does %s. A name is good for one image: give each its own.", other.Name, place(other.Source.Range("server_image_name")), b.Name)})
				break
			}
		}
	}
	return diags
}

// sameImage tells whether two builds would make images of one name in one place.
func sameImage(a, b *Build) bool {
	s, o := &a.Source, &b.Source
	return s.ServerImageName != "" && s.ServerImageName == o.ServerImageName && s.Region == o.Region && s.Site == o.Site &&
		s.AccessKey == o.AccessKey && s.IsVPC() == o.IsVPC()
}

// checkConnection finds provisioners that need a connection where the communicator is none.
func checkConnection(b *Build) (diags hcl.Diagnostics) {
	if b.Communicator.Type != "none" {
		return nil
	}
	steps := b.Steps
	if b.ErrorCleanup != nil {
		steps = append(steps[:len(steps):len(steps)], b.ErrorCleanup)
	}
	for _, s := range steps {
		if !local[s.Type] {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Subject: s.Range.Ptr(),
				Summary: fmt.Sprintf("Provisioner %q needs a connection to the server", s.Type),
				Detail:  `communicator is "none"; only shell-local, sleep and breakpoint work without. Remove it, or set communicator to ssh or winrm.`})
		}
	}
	return diags
}

// local are the provisioners that do without the server.
var local = map[string]bool{"shell-local": true, "sleep": true, "breakpoint": true}
