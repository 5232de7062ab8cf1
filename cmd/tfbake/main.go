// Command tfbake bakes server images on NAVER Cloud: template in, image number out, nothing left behind.
package main

import (
	"os"

	"github.com/tfbake/tfbake/internal/provider"
)

func main() {
	// Terraform starts its providers as programs. In a kept run directory tfbake itself is laid down as the provider,
	// so that a user's own terraform can plan and destroy there without a registry.
	if provider.StartedByTerraform() {
		provider.Serve()
		return
	}
	os.Exit(Main(os.Args[1:], system()))
}
