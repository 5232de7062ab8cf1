package terraform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"
)

// DefaultVersion is the Terraform that is downloaded where there is none. It is the one tfbake is tested with.
const DefaultVersion = "1.11.4"

// The oldest that will do: Terraform 1.5 and OpenTofu 1.6 (its first release) know everything the modules use.
var (
	minTerraform = version.Must(version.NewVersion("1.5.0"))
	minTofu      = version.Must(version.NewVersion("1.6.0"))
)

// FindOptions tell where to look for terraform.
type FindOptions struct {
	Path          string // -terraform or TFBAKE_TERRAFORM, a path or a name in PATH: this one and no other
	SearchPath    string // default $PATH
	PinnedVersion string // what to download when there is none; default DefaultVersion
	CacheDir      string // where downloads are kept; empty: no download
	ReleasesURL   string // mirror of releases.hashicorp.com; empty: that itself
	Log           Log

	publicKey string // tests sign with a key of their own
}

// Find returns the program to use: the named one; else the first terraform, then the first tofu, in PATH that is new
// enough; else a downloaded Terraform, its checksum and signature verified by hc-install. The error says what to do.
func Find(ctx context.Context, o FindOptions) (Binary, error) {
	if o.SearchPath == "" {
		o.SearchPath = os.Getenv("PATH")
	}
	if o.PinnedVersion == "" {
		o.PinnedVersion = DefaultVersion
	}
	if o.Path != "" {
		return findNamed(ctx, o)
	}
	b, rejected := findInPath(ctx, o)
	if b.Path != "" {
		return b, nil
	}
	b, err := download(ctx, o)
	if err != nil {
		return Binary{}, &NotFoundError{Rejected: rejected, Err: err}
	}
	return b, nil
}

// NotFoundError says that there is no usable terraform and how to get one.
type NotFoundError struct {
	Rejected []string // programs that were found and would not do, with the reason
	Err      error    // why none was downloaded
}

func (e *NotFoundError) Error() string {
	found := "there is none in PATH"
	if len(e.Rejected) > 0 {
		found = strings.Join(e.Rejected, "; ")
	}
	return fmt.Sprintf("find terraform: %s; download: %v; install Terraform 1.5 or OpenTofu 1.6 or newer, or name one with -terraform or TFBAKE_TERRAFORM", found, e.Err)
}

func (e *NotFoundError) Unwrap() error { return e.Err }

func findNamed(ctx context.Context, o FindOptions) (Binary, error) {
	path, err := exec.LookPath(o.Path)
	if err != nil {
		if e, ok := errors.AsType[*exec.Error](err); ok {
			err = e.Err
		}
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return Binary{}, fmt.Errorf("find terraform: %s, named by -terraform or TFBAKE_TERRAFORM: %w", o.Path, err)
	}
	b, err := probe(ctx, path)
	if err != nil {
		return Binary{}, fmt.Errorf("find terraform: %w", err)
	}
	b.Source = "-terraform"
	return b, nil
}

func findInPath(ctx context.Context, o FindOptions) (found Binary, rejected []string) {
	for _, name := range []string{"terraform", "tofu"} {
		for _, dir := range filepath.SplitList(o.SearchPath) {
			if !filepath.IsAbs(dir) { // "." in PATH could run something out of a cloned template directory
				continue
			}
			path, err := exec.LookPath(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			b, err := probe(ctx, path)
			if err != nil {
				rejected = append(rejected, err.Error())
				continue
			}
			b.Source = "PATH"
			return b, nil
		}
	}
	return Binary{}, rejected
}

func download(ctx context.Context, o FindOptions) (Binary, error) {
	if o.CacheDir == "" {
		return Binary{}, errors.New("no directory to keep it in")
	}
	v, err := version.NewVersion(o.PinnedVersion)
	if err != nil {
		return Binary{}, fmt.Errorf("version %q: %w", o.PinnedVersion, err)
	}
	final := filepath.Join(o.CacheDir, "terraform-"+v.String())
	name := product.Terraform.BinaryName()
	if b, err := probe(ctx, filepath.Join(final, name)); err == nil {
		b.Source = "cache"
		return b, nil
	}

	if err := os.MkdirAll(o.CacheDir, 0o700); err != nil {
		return Binary{}, err
	}
	tmp, err := os.MkdirTemp(o.CacheDir, "download-")
	if err != nil {
		return Binary{}, err
	}
	defer os.RemoveAll(tmp)
	if o.Log != nil {
		o.Log.Info("no terraform in PATH: downloading Terraform %s", v)
	}
	installer := &releases.ExactVersion{
		Product: product.Terraform, Version: v, InstallDir: tmp, Timeout: 5 * time.Minute,
		ApiBaseURL: o.ReleasesURL, ArmoredPublicKey: o.publicKey,
	}
	var trace bytes.Buffer
	installer.SetLogger(log.New(&trace, "", 0))
	if _, err := installer.Install(ctx); err != nil {
		return Binary{}, fmt.Errorf("Terraform %s: %w", v, installError(err, trace.String()))
	}
	// Not before it has run: hc-install can lose the error of an interrupted unpacking.
	b, err := probe(ctx, filepath.Join(tmp, name))
	if err != nil {
		return Binary{}, err
	}
	b.Path, b.Source = filepath.Join(final, name), "download"
	// The whole directory is moved, so that a second tfbake sees all or nothing.
	if os.Rename(tmp, final) == nil {
		return b, nil
	}
	if _, err := probe(ctx, b.Path); err == nil { // another tfbake was quicker
		return b, nil
	}
	if err := os.RemoveAll(final); err != nil {
		return Binary{}, err
	}
	return b, os.Rename(tmp, final)
}

// installError finds the cause hc-install 0.10.0 loses: its deferred removal of the archive overwrites the error of a
// checksum that does not match, and what comes back is that there is no program to make executable.
func installError(err error, trace string) error {
	for line := range strings.Lines(trace) {
		if strings.HasPrefix(line, "checksum does not match") {
			return errors.New(strings.TrimSpace(line) + ": the download is damaged or not what was released")
		}
	}
	return err
}

// versionLine is the first line of what "version" prints.
var versionLine = regexp.MustCompile(`(?m)^(Terraform|OpenTofu) v(\S+)`)

// probe asks the program what it is and whether it is new enough.
func probe(ctx context.Context, path string) (Binary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Binary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	// An environment of its own: not the caller's TF_CLI_ARGS, no check for updates over the network.
	cmd := exec.CommandContext(ctx, path, "version")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT"),
		"CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=" + os.DevNull}
	cmd.Dir = os.TempDir()
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return Binary{}, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	b, err := parseVersion(string(out))
	if err != nil {
		return Binary{}, fmt.Errorf("%s: %w", path, err)
	}
	b.Path = path
	return b, nil
}

func parseVersion(out string) (Binary, error) {
	m := versionLine.FindStringSubmatch(out)
	if m == nil {
		first, _, _ := strings.Cut(out, "\n")
		return Binary{}, fmt.Errorf("neither Terraform nor OpenTofu: its version is %.80q", first)
	}
	v, err := version.NewVersion(m[2])
	if err != nil {
		return Binary{}, fmt.Errorf("%s has an unreadable version %q", m[1], m[2])
	}
	b := Binary{Version: m[2], Tofu: m[1] == "OpenTofu"}
	oldest := minTerraform
	if b.Tofu {
		oldest = minTofu
	}
	if v.Core().LessThan(oldest) {
		return Binary{}, fmt.Errorf("%s %s is too old, %s is needed", m[1], m[2], oldest)
	}
	return b, nil
}
