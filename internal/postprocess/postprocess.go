// Package postprocess runs the template's post-processors on this machine after an image was baked.
//
// A cloud image is no file, so what Packer's post-processors do with files is left out: manifest writes down what was
// baked, checksum sums the files that post-processors before it in the sequence have written, shell-local does the rest.
package postprocess

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/hostcmd"
	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/ui"
)

// Options say what Run does and with what.
type Options struct {
	Sequences [][]*config.Step // config.Build.PostProcessors
	Values    config.RunValues // with ImageNo, ImageName, Region, Platform
	Story     *ui.Story
	Redactor  *redact.Redactor
	Dir       string           // where relative paths and shell-local start; empty: the working directory, as with Packer
	Force     bool             // -force: a manifest of earlier runs is begun anew
	Now       func() time.Time // for tests; nil: time.Now
}

// Run runs every sequence in order; within one, the first failure ends it. It returns the errors of all.
func Run(ctx context.Context, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	var all error
	for _, sequence := range o.Sequences {
		var files []string // written by this sequence
		for _, s := range sequence {
			written, err := o.step(ctx, s, files)
			if err != nil {
				all = errors.Join(all, fmt.Errorf("post-processor %s%s: %w", s.Type, place(s), err))
				break
			}
			files = append(files, written...)
		}
		if ctx.Err() != nil {
			return errors.Join(all, context.Cause(ctx))
		}
	}
	return all
}

func place(s *config.Step) string {
	if s.Range.Filename == "" {
		return ""
	}
	return fmt.Sprintf(" (%s:%d)", filepath.Base(s.Range.Filename), s.Range.Start.Line)
}

// step runs one post-processor and returns the files it wrote. files are those written before it in the sequence.
func (o *Options) step(ctx context.Context, s *config.Step, files []string) ([]string, error) {
	options, diags := s.Resolve(o.Values)
	if diags.HasErrors() {
		return nil, fmt.Errorf("its options cannot be worked out: %w", diags)
	}
	o.Story.Say("Running post-processor: %s", s.Type)
	switch p := options.(type) {
	case *config.Manifest:
		name := o.path(p.Output)
		return []string{name}, o.manifest(ctx, p, name)
	case *config.Checksum:
		return o.checksum(p, files)
	case *config.ShellLocal:
		return nil, o.shellLocal(ctx, p)
	}
	return nil, errors.New("tfbake has no such post-processor; there are manifest, checksum and shell-local")
}

func (o *Options) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(o.Dir, name)
}

func (o *Options) shellLocal(ctx context.Context, p *config.ShellLocal) error {
	lines := o.Story.Writer()
	defer lines.Close()
	out := o.Redactor.Writer(lines)
	defer out.Close()
	v := o.Values
	env := []string{
		"PACKER_BUILD_NAME=" + v.BuildName, "PACKER_BUILDER_TYPE=" + v.BuilderType, "PACKER_RUN_UUID=" + v.RunUUID,
		"TFBAKE_IMAGE_NO=" + v.ImageNo, "TFBAKE_IMAGE_NAME=" + v.ImageName, "TFBAKE_REGION=" + v.Region, "TFBAKE_PLATFORM=" + v.Platform,
	}
	return hostcmd.ShellLocal(ctx, p, hostcmd.Shell{Env: env, Dir: o.Dir, Out: out, Say: o.Story.Say})
}

// checksum writes one file per kind of checksum, a line "sum<TAB>name" for each of files, as Packer does.
func (o *Options) checksum(p *config.Checksum, files []string) ([]string, error) {
	if len(files) == 0 {
		return nil, errors.New("there is no file to sum: an image stays in the cloud; put it into one sequence after a manifest")
	}
	types := p.ChecksumTypes
	if len(types) == 0 {
		types = []string{"md5"}
	}
	var written []string
	for _, t := range types {
		name, err := config.RenderLater(p.Output, map[string]string{"BuildName": o.Values.BuildName, "BuilderType": o.Values.BuilderType, "ChecksumType": t})
		if err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
		name = o.path(name)
		for _, f := range files {
			sum, err := sumFile(t, f)
			if err != nil {
				return nil, err
			}
			if err := appendLine(name, fmt.Sprintf("%s\t%s\n", sum, filepath.Base(f))); err != nil {
				return nil, err
			}
		}
		o.Story.Info("%s of %d file(s) written to %s", t, len(files), name)
		written = append(written, name)
	}
	return written, nil
}

func sumFile(kind, name string) (string, error) {
	var h hash.Hash
	switch kind {
	case "md5":
		h = md5.New()
	case "sha1":
		h = sha1.New()
	case "sha224":
		h = sha256.New224()
	case "sha256":
		h = sha256.New()
	case "sha384":
		h = sha512.New384()
	case "sha512":
		h = sha512.New()
	default:
		return "", fmt.Errorf("there is no checksum %q; there are md5, sha1, sha224, sha256, sha384 and sha512", kind)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

func appendLine(name, line string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
