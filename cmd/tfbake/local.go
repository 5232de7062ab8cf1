package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/tfbake/tfbake/internal/localcloud"
)

// localDir is where the simulated cloud of -local runs keeps its servers and images, beside the runs.
func (a *app) localDir() string { return filepath.Join(filepath.Dir(a.runsDir), "local") }

// startLocal starts the simulated cloud in this process. What was baked before is still there.
func (a *app) startLocal(ctx context.Context, dir string) (*localcloud.Cloud, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	cloud, err := localcloud.Start(ctx, localcloud.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	return cloud, nil
}

func cmdLocal(ctx context.Context, a *app, args []string) error {
	if len(args) == 0 {
		return failWith(exitUsage, errors.New("local needs serve, inventory or reset"))
	}
	switch args[0] {
	case "serve":
		return localServe(ctx, a, args[1:])
	case "inventory":
		return localInventory(ctx, a, args[1:])
	case "reset":
		return localReset(ctx, a, args[1:])
	}
	if h := strings.TrimLeft(args[0], "-"); h != args[0] && (h == "h" || h == "help") {
		fmt.Fprint(a.stderr, "Usage: tfbake local serve|inventory|reset [flags]\n\nThe simulated cloud: serves it, prints what exists in it, deletes it. `tfbake local serve -h` lists the flags.\n")
		return flag.ErrHelp
	}
	return failWith(exitUsage, fmt.Errorf("local knows serve, inventory and reset, not %q", args[0]))
}

func localServe(ctx context.Context, a *app, args []string) error {
	f := a.flags("local serve", "", "Serves the simulated cloud for other clients (the official Terraform provider, Packer, the SDK) until Ctrl-C.\nIt simulates; nothing in it costs money, and nothing leaves this machine.")
	dir := f.String("dir", a.localDir(), "where servers and images are kept")
	listen := f.String("listen", "127.0.0.1:9060", "address of the API; loopback only")
	latency := f.String("latency", "fast", "how long state changes take: fast or realistic")
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	o := localcloud.Options{Dir: *dir, Listen: *listen, Log: a.stderr}
	switch *latency {
	case "fast":
	case "realistic":
		o.Latency = localcloud.Realistic()
	default:
		return failWith(exitUsage, fmt.Errorf("-latency is fast or realistic, not %q", *latency))
	}
	// A signal must end the serving, not the cloud: Close below keeps the servers for the next start.
	cloud, err := localcloud.Start(context.WithoutCancel(ctx), o)
	if err != nil {
		return err
	}
	access, secret := cloud.Credentials()
	fmt.Fprintf(a.stdout, "export NCLOUD_API_GW=%s\nexport NCLOUD_ACCESS_KEY=%s\nexport NCLOUD_SECRET_KEY=%s\nexport NCLOUD_REGION=%s\n",
		cloud.Endpoint(), access, secret, localcloud.DefaultRegion)
	fmt.Fprintf(a.stderr, "the simulated cloud answers at %s; its servers listen on addresses in 127.0.0.0/8; Ctrl-C ends it\n", cloud.Endpoint())
	<-ctx.Done()
	return cloud.Close()
}

func localInventory(ctx context.Context, a *app, args []string) error {
	f := a.flags("local inventory", "", "Prints what exists in the simulated cloud, as JSON.")
	dir := f.String("dir", a.localDir(), "where servers and images are kept")
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	if _, err := os.Stat(*dir); errors.Is(err, os.ErrNotExist) {
		return failWith(exitUsage, fmt.Errorf("there is no simulated cloud in %s: `tfbake run -local …` or `tfbake local serve` makes one", *dir))
	}
	cloud, err := a.startLocal(ctx, *dir)
	var used *localcloud.InUseError
	if errors.As(err, &used) && used.Endpoint != "" {
		return a.remoteInventory(ctx, used.Endpoint)
	}
	if err != nil {
		return err
	}
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return errors.Join(enc.Encode(cloud.Inventory()), cloud.Close())
}

func localReset(ctx context.Context, a *app, args []string) error {
	f := a.flags("local reset", "", "Deletes the simulated cloud with all its servers and images.")
	dir := f.String("dir", a.localDir(), "where servers and images are kept")
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(*dir, "state.json")); err != nil {
		return failWith(exitUsage, fmt.Errorf("%s holds no simulated cloud: nothing was deleted", *dir))
	}
	cloud, err := a.startLocal(ctx, *dir) // takes the lock: nobody else is using it
	if used, ok := errors.AsType[*localcloud.InUseError](err); ok {
		return fmt.Errorf("nothing was deleted: %w", used)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(cloud.Close(), os.RemoveAll(*dir)); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "deleted the simulated cloud in %s, with its servers and images\n", *dir)
	return nil
}

// remoteInventory prints the inventory of a cloud that another process runs.
func (a *app) remoteInventory(ctx context.Context, endpoint string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/_local/inventory", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the simulated cloud at %s: %w", endpoint, err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(a.stdout, resp.Body)
	return err
}
