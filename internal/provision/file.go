package provision

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/config"
)

// contentName is the file that content makes in a destination that is a directory; contentMode what Packer gives it.
const (
	contentName = "pkr-file-content"
	contentMode = 0o600
)

// file sends files to the server, or fetches them.
func (r stepRun) file(ctx context.Context, p *config.File) error {
	if p.Direction == "download" {
		for _, src := range p.Sources {
			if err := r.download(ctx, src, p.Destination); err != nil {
				return err
			}
		}
		return nil
	}
	if p.HasContent {
		dst := p.Destination
		if strings.HasSuffix(dst, "/") {
			dst += contentName
		}
		r.Story.Say("Uploading content => %s", dst)
		return r.persist(ctx, startRetry, func() error {
			return r.Comm.Upload(ctx, dst, strings.NewReader(p.Content), int64(len(p.Content)), contentMode)
		})
	}
	for _, src := range p.Sources {
		if err := r.upload(ctx, src, p.Destination, len(p.Sources)); err != nil {
			return err
		}
	}
	return nil
}

// upload sends one source; of counts all that go to the same destination.
func (r stepRun) upload(ctx context.Context, src, dst string, of int) error {
	r.Story.Say("Uploading %s => %s", src, dst)
	info, err := os.Stat(src)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if info.IsDir() {
		return r.persist(ctx, startRetry, func() error { return r.Comm.UploadDir(ctx, dst, src) })
	}
	if of > 1 && !strings.HasSuffix(dst, "/") {
		return fmt.Errorf("upload %s: %d sources would all become the one file %s; end the destination with a slash", src, of, dst)
	}
	if strings.HasSuffix(dst, "/") {
		dst += filepath.Base(src)
	}
	return r.persist(ctx, startRetry, func() error {
		f, err := os.Open(src)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat() // a generated file may have changed
		if err != nil {
			return err
		}
		progress := &progressReader{r: f, tell: func(done int64) {
			r.Story.Info("%s: %d of %d MB sent", filepath.Base(src), done>>20, info.Size()>>20)
		}}
		return r.Comm.Upload(ctx, dst, progress, info.Size(), info.Mode())
	})
}

// download fetches one source. Slashes at the end say what is a directory, as in Packer.
func (r stepRun) download(ctx context.Context, src, dst string) error {
	intoDir := strings.HasSuffix(dst, "/") || strings.HasSuffix(dst, string(filepath.Separator))
	many := strings.HasSuffix(src, "/") || isPattern(src)
	if intoDir && !many {
		dst = filepath.Join(dst, filepath.Base(filepath.FromSlash(strings.ReplaceAll(src, `\`, "/"))))
	}
	r.Story.Say("Downloading %s => %s", src, dst)
	if many {
		if err := os.MkdirAll(dst, 0o755); err != nil {
			return fmt.Errorf("download %s: %w", src, err)
		}
		return r.persist(ctx, startRetry, func() error { return r.Comm.DownloadDir(ctx, src, dst) })
	}
	return r.persist(ctx, startRetry, func() error {
		fetch := func(w io.Writer) error { return r.Comm.Download(ctx, src, w) }
		if info, err := os.Stat(dst); err == nil && !info.Mode().IsRegular() {
			return writeFile(dst, 0o644, fetch)
		}
		// A part of a file must not pass for the file, nor replace one.
		part := dst + ".part"
		if err := writeFile(part, 0o644, fetch); err != nil {
			os.Remove(part)
			return err
		}
		return os.Rename(part, dst)
	})
}

// progressReader tells now and then how much was read; short transfers stay silent.
type progressReader struct {
	r    io.Reader
	tell func(done int64)
	done int64
	told time.Time
}

func (p *progressReader) Read(b []byte) (int, error) {
	if p.told.IsZero() {
		p.told = time.Now()
	}
	n, err := p.r.Read(b)
	p.done += int64(n)
	if time.Since(p.told) >= 10*time.Second {
		p.tell(p.done)
		p.told = time.Now()
	}
	return n, err
}
