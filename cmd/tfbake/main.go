// Command tfbake bakes server images on NAVER Cloud: template in, image number out, nothing left behind.
package main

import (
	"fmt"
	"os"

	"github.com/tfbake/tfbake/internal/provider"
)

func main() {
	// Terraform starts its providers as programs. In a kept run directory tfbake itself is laid down as the provider,
	// so that a user's own terraform can plan and destroy there without a registry.
	if provider.StartedByTerraform() {
		if err := provider.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, "tfbake as a provider:", err)
			os.Exit(exitFailed)
		}
		return
	}
	os.Exit(Main(os.Args[1:], system()))
}
