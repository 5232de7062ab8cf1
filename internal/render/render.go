// Package render writes a resolved build down as a Terraform root module. It is pure: the same build and options give
// the same bytes; only Write touches the disk.
package render

import (
	"errors"

	"github.com/tfbake/tfbake/internal/config"
)

// Files maps slash-separated paths, relative to the run directory, to their contents.
type Files map[string][]byte

// Options are choices that do not change what is built.
type Options struct {
	// Backend is a backend block's type and arguments, written as they are ("s3", {"bucket": "…"}); nil: local state.
	Backend *Backend
	// ToolVersion goes into the comment on top of main.tf.
	ToolVersion string
	// TemplatePath is named in the README; empty: left out.
	TemplatePath string
	// AllowWorld lets SourceCIDRs hold 0.0.0.0/0.
	AllowWorld bool
}

// Backend says where the state is kept. Credentials never belong here.
type Backend struct {
	Type string
	Args map[string]any // string, bool, number, or list/map of those
}

// Module returns the files of the root module for r.
func Module(r config.Resolved, o Options) (Files, error) { return nil, errors.New("render: not written yet") }

// Write writes files below dir, directories 0700, files 0600, all synced.
func Write(dir string, files Files) error { return errors.New("render: not written yet") }

// TemplateKey maps a terraform address and argument (or, without one, the text of the error) to the template key it
// came from; "" when there is none.
func TemplateKey(address, attribute, text string) string { return "" }
