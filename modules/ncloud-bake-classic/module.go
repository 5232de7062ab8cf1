// Package ncloudbakeclassic embeds the Terraform module of this directory, so that tfbake can write it into run directories.
package ncloudbakeclassic

import "embed"

// Files holds the module: *.tf, README.md and examples/.
//
//go:embed *.tf README.md examples
var Files embed.FS
