package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/tempdir"
	"github.com/tfbake/tfbake/internal/terraform"
)

// providerVersions are the official provider's versions that the two modules ask for.
var providerVersions = map[config.Platform]string{config.VPC: "~> 4.0", config.Classic: "3.3.2"}

func cmdInit(ctx context.Context, a *app, args []string) (err error) {
	f := a.flags("init", "[TEMPLATE]", "Finds terraform, or downloads it, and fetches the official provider that the template's builds need into tfbake's plugin\ncache (or TF_PLUGIN_CACHE_DIR), so that a run downloads nothing. Without a template: the provider for VPC.")
	var t templateFlags
	var c cloudFlags
	t.register(f.FlagSet)
	c.register(f, a.getenv)
	f.BoolVar(&c.local, "local", false, "for -local runs, which need terraform and nothing else")
	upgrade := f.Bool("upgrade", false, "forget what the cache holds and fetch the newest version that fits")
	force := f.Bool("force", false, "the same as -upgrade")
	rest, err := f.parse(args, 0, 1)
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	platforms := []config.Platform{config.VPC}
	if len(rest) == 1 {
		tmpl, err := a.load(ctx, rest[0], t, func(o *config.Options) { o.Incomplete = true })
		if err != nil {
			return err
		}
		platforms = platformsOf(tmpl)
	}
	bin, err := a.findTerraform(ctx, c.terraform)
	if err != nil {
		return failWith(exitInfra, err)
	}
	a.story.Say("terraform: %s %s (%s)", bin.Path, bin.Version, bin.Source)
	if c.provider == embeddedProvider || c.local && c.provider == "" {
		a.story.Say("provider: the embedded one, which is part of tfbake %s", toolVersion())
		return nil
	}
	for _, p := range platforms {
		if err := a.fetchProvider(ctx, bin, p, *upgrade || *force); err != nil {
			return failWith(exitInfra, err)
		}
	}
	return nil
}

// platformsOf are the platforms a template's builds are for.
func platformsOf(tmpl *config.Template) []config.Platform {
	var out []config.Platform
	for _, b := range tmpl.Builds {
		p := config.Classic
		if b.Source.IsVPC() {
			p = config.VPC
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// pluginCache is where init leaves providers and runs look for them; empty where there is no home for it. The user's own
// TF_PLUGIN_CACHE_DIR goes before it.
func (a *app) pluginCache() string {
	if dir := a.getenv("TF_PLUGIN_CACHE_DIR"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "tfbake", "plugins")
}

// fetchProvider has terraform install the official provider once, into the cache, and says what came of it.
func (a *app) fetchProvider(ctx context.Context, bin terraform.Binary, p config.Platform, upgrade bool) (err error) {
	cache := a.pluginCache()
	if cache == "" {
		return errors.New("no home directory to keep the provider in: set TF_PLUGIN_CACHE_DIR")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	if upgrade {
		for _, dir := range cachedProviders(cache, bin.Tofu, p) {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	before := cachedProviders(cache, bin.Tofu, p)
	work, remove, err := tempdir.Make()
	if err != nil {
		return err
	}
	defer remove()
	root := fmt.Sprintf("terraform {\n  required_providers {\n    ncloud = {\n      source  = \"NaverCloudPlatform/ncloud\"\n      version = %q\n    }\n  }\n}\n", providerVersions[p])
	if err := os.WriteFile(filepath.Join(work, "main.tf"), []byte(root), 0o600); err != nil {
		return err
	}
	environ := append(slices.Clone(a.environ()), "TF_PLUGIN_CACHE_DIR="+cache)
	env := terraform.Environment(terraform.EnvOptions{Environ: environ, Cwd: a.cwd, Dir: work})
	tf, err := terraform.New(terraform.Options{Binary: bin, Dir: work, Env: env, Log: a.story, Hard: a.hard})
	if err != nil {
		return err
	}
	if err := tf.Init(ctx); err != nil {
		return fmt.Errorf("the provider for %s (ncloud %s) cannot be had: %w\n-local and -provider embedded fetch none", p, providerVersions[p], err)
	}
	installed, err := filepath.Glob(filepath.Join(work, ".terraform", "providers", "*", "navercloudplatform", "ncloud", "*"))
	if err != nil || len(installed) == 0 {
		return fmt.Errorf("terraform installed no provider in %s", work)
	}
	version := filepath.Base(installed[len(installed)-1])
	after := cachedProviders(cache, bin.Tofu, p)
	switch {
	case len(after) == 0:
		a.story.Say("provider for %s: ncloud %s, from the mirror that %s names; nothing to fetch", p, version, a.getenv("TF_CLI_CONFIG_FILE"))
	case slices.Equal(before, after):
		a.story.Say("provider for %s: ncloud %s is in %s", p, version, cache)
	default:
		a.story.Say("provider for %s: ncloud %s fetched into %s", p, version, cache)
	}
	return nil
}

// cachedProviders are the directories of a plugin cache that hold versions of the provider for a platform.
func cachedProviders(cache string, tofu bool, p config.Platform) []string {
	registry, version := "registry.terraform.io", "4.*"
	if tofu {
		registry = "registry.opentofu.org"
	}
	if p == config.Classic {
		version = providerVersions[p]
	}
	found, _ := filepath.Glob(filepath.Join(cache, registry, "navercloudplatform", "ncloud", version)) // the pattern is right
	return found
}

// withPluginCache has the runs use what init has fetched. An empty cache is not named: terraform would fill it, and two
// builds at once must not.
func (m maker) withPluginCache(env map[string]string, p config.Platform) {
	cache := m.app.pluginCache()
	if env["TF_PLUGIN_CACHE_DIR"] != "" || cache == "" || m.provider != officialProvider || len(cachedProviders(cache, m.terraform.Tofu, p)) == 0 {
		return
	}
	env["TF_PLUGIN_CACHE_DIR"] = cache
	env["TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"] = "1" // as terraform.Environment does for the user's own
}
