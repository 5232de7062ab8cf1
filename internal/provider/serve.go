package provider

import (
	"context"
	"errors"
)

func reattach(ctx context.Context, o Options) (map[string]ReattachConfig, func(), error) {
	return nil, func() {}, errors.New("serve the embedded provider: not yet")
}

// PluginFlavour says whether this process was started by terraform or tofu as a provider plugin, and of which flavour. It
// asks for the magic cookie in the environment and for the program's name (see InstallMirror).
func PluginFlavour() (Flavour, bool) { return VPC, false }

// Serve is the main program of a plugin process: it serves the flavour to the terraform that started it, and returns when
// that has ended. Only to be called when PluginFlavour says so: it owns standard output.
func Serve(ctx context.Context, f Flavour) error {
	return errors.New("serve the provider: not yet")
}

// InstallMirror lays this program down as the official provider's plugin below dir, which is a run directory, in
// terraform.d/plugins: Terraform's implied local mirror. A terraform started in dir then finds the provider without
// any registry. It returns the path of the plugin. The program is hard linked, or copied where that cannot be.
func InstallMirror(dir string, f Flavour) (string, error) {
	return "", errors.New("lay down the provider plugin: not yet")
}
