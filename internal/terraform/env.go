package terraform

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// CLIConfigName is the file in the run directory that serves as terraform's CLI configuration when the user names none.
const CLIConfigName = ".terraformrc"

// EnvOptions make the child's environment.
type EnvOptions struct {
	Environ []string // the caller's, os.Environ()
	Cwd     string   // relative paths in Environ are taken from here, for the child works elsewhere; empty: left alone
	Dir     string   // the run directory

	// Place; an empty one keeps what Environ has. For the keys see Options.Keys.
	Region, Site, APIGateway string

	Pass []string // further variables (name=value), such as a backend's AWS_ACCESS_KEY_ID
}

// allowed names pass from the caller's environment to terraform's; nothing else does. What stays out changes what
// terraform does behind our back: TF_CLI_ARGS* adds flags, TF_VAR_* values, TF_WORKSPACE and TF_DATA_DIR move the state,
// TF_LOG* floods standard error with what may hold secrets, TF_REATTACH_PROVIDERS replaces providers.
var allowed = []string{
	"PATH", "HOME", "TMPDIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
	"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR", "TF_ENCRYPTION",
}

// allowedWindows are what programs on Windows cannot do without.
var allowedWindows = []string{"SystemRoot", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PATHEXT", "ComSpec"}

// refused are NCLOUD_ names that would do harm. Provider 3.3.2 takes any NCLOUD_SUPPORT_VPC for support_vpc = true, even on
// a Classic account; NCLOUD_ACCESS_KEY_ID is an alias that was resolved before and may be another account's.
var refused = []string{"NCLOUD_SUPPORT_VPC", "NCLOUD_ACCESS_KEY_ID"}

// paths are allowed names that hold a path.
var paths = []string{"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// Environment builds the whole environment terraform runs with.
//
// The CLI configuration is the user's only when the user said so with TF_CLI_CONFIG_FILE; otherwise it is a file of ours
// without any setting, so that a forgotten ~/.terraformrc (dev_overrides, a mirror) cannot change what a bake does. New
// writes that file.
func Environment(o EnvOptions) map[string]string {
	env := map[string]string{}
	set := func(vars []string, allowed func(name string) bool) {
		for _, kv := range vars {
			name, value, ok := strings.Cut(kv, "=")
			if !ok || !allowed(name) {
				continue
			}
			env[name] = value // the last one wins, as everywhere
			if value == "" {
				delete(env, name)
			}
		}
	}
	set(o.Environ, passes)
	set(o.Pass, func(string) bool { return true })
	for _, name := range paths {
		if v := env[name]; v != "" && o.Cwd != "" && !filepath.IsAbs(v) {
			env[name] = filepath.Join(o.Cwd, v)
		}
	}
	if env["TF_CLI_CONFIG_FILE"] == "" {
		env["TF_CLI_CONFIG_FILE"] = ownConfig(o.Dir)
	}
	if env["TF_PLUGIN_CACHE_DIR"] != "" {
		// Every run has a fresh directory, and so no lock file; without this terraform would fetch the provider again to
		// learn its checksums, cache or not.
		env["TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"] = "1"
	}
	env["CHECKPOINT_DISABLE"] = "1"

	for name, value := range map[string]string{
		"NCLOUD_REGION": o.Region, "NCLOUD_SITE": o.Site, "NCLOUD_API_GW": o.APIGateway,
	} {
		if value != "" {
			env[name] = value
		}
	}
	if o.APIGateway != "" {
		// For site gov and fin the official provider overwrites NCLOUD_API_GW with the site's address.
		delete(env, "NCLOUD_SITE")
	}
	return env
}

// ownConfig is our CLI configuration file for a directory: absolute, for terraform runs there and we do not.
func ownConfig(dir string) string {
	path := filepath.Join(dir, CLIConfigName)
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func passes(name string) bool {
	switch {
	case slices.Contains(refused, name):
		return false
	case slices.Contains(allowed, name), strings.HasPrefix(name, "NCLOUD_"):
		return true
	}
	return runtime.GOOS == "windows" && slices.Contains(allowedWindows, name)
}
