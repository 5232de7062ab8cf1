package guest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func init() {
	register(cmdTar, "tar")
	register(cmdGzip, "gzip", "gunzip", "zcat", "bunzip2", "bzcat")
	register(cmdZip, "zip", "unzip")
	register(func(p *proc) int { return p.fail("this compression is not simulated; use gzip") }, "xz", "unxz", "bzip2", "zstd", "unzstd", "lz4", "xzcat")
}

func cmdTar(p *proc) int {
	args := slices.Clone(p.args)
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		// Old style: tar xzf file. Its options take their values from the following words in order.
		letters := args[0]
		rest := args[1:]
		var out []string
		for _, c := range letters {
			out = append(out, "-"+string(c))
			if strings.ContainsRune("fCTXbI", c) && len(rest) > 0 {
				out = append(out, rest[0])
				rest = rest[1:]
			}
		}
		args = append(out, rest...)
	}
	// -C applies to the names that follow it.
	p.args = args
	o, ok := p.parse("cxtf:zjJvC:pPkhmOT:X:b:aI:SWowrui", "create=c extract=x get=x list=t file:=f gzip=z gunzip=z bzip2=j xz=J verbose=v directory:=C preserve-permissions=p same-permissions=p same-owner no-same-owner strip-components:=strip exclude:=exclude absolute-names=P to-stdout=O files-from:=T keep-old-files=k overwrite no-same-permissions owner: group: wildcards transform: auto-compress=a numeric-owner dereference=h no-overwrite-dir warning: one-file-system touch=m zstd sort: mtime: ignore-failed-read exclude-from:=X selinux acls xattrs anchored", false)
	if !ok {
		return 2
	}
	if o.has("J", "zstd", "I", "r", "u") {
		return p.failCode(2, "this operation is not simulated; use gzip")
	}
	dir := p.dir
	for _, c := range o.all["C"] {
		if strings.HasPrefix(c, "/") {
			dir = c
		} else {
			dir = path.Join(dir, c)
		}
		if !p.v.isDir(dir) {
			return p.failCode(2, "%s: Cannot open: No such file or directory", c)
		}
	}
	name := "-"
	if o.has("f") {
		name = o.value["f"]
	}
	excluded := func(n string) bool {
		for _, e := range o.all["exclude"] {
			e = strings.TrimSuffix(e, "/")
			if globMatch(e, n, false) || globMatch(e, path.Base(n), false) || globMatch("*/"+e, n, false) || strings.HasPrefix(n, strings.TrimPrefix(e, "./")+"/") {
				return true
			}
		}
		return false
	}
	switch {
	case o.has("c"):
		return p.tarCreate(o, name, dir, excluded)
	case o.has("x", "t"):
		return p.tarExtract(o, name, dir, excluded)
	}
	return p.failCode(2, "You must specify one of the '-ctx' options")
}

func (p *proc) tarCreate(o *options, name, dir string, excluded func(string) bool) int {
	var w io.Writer = p.out
	if name != "-" {
		f, err := p.create(name, os.O_WRONLY|os.O_TRUNC, 0o666)
		if err != nil {
			return p.failCode(2, "%s: Cannot open: %s", name, why(err))
		}
		defer f.Close()
		w = f
	}
	names := o.rest
	for _, t := range o.all["T"] {
		data, err := p.readAll(t)
		if err != nil {
			return p.failCode(2, "%s: Cannot open: %s", t, why(err))
		}
		names = append(names, splitLines(string(data))...)
	}
	if len(names) == 0 {
		return p.failCode(2, "Cowardly refusing to create an empty archive")
	}
	var gz *gzip.Writer
	if o.has("z") || o.has("a") && (strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".tgz")) {
		gz = gzip.NewWriter(w)
		w = gz
	}
	tw := tar.NewWriter(w)
	users, groups := p.g.names("/etc/passwd"), p.g.names("/etc/group")
	self, _ := p.v.realpath(p.abs(name))
	code := 0
	for _, n := range names {
		full := n
		if !strings.HasPrefix(n, "/") {
			full = strings.TrimSuffix(dir, "/") + "/" + n
		}
		werr := p.v.walk(full, func(file string, fi *fileInfo, err error) error {
			if err != nil {
				code = p.failCode(2, "%s: Cannot stat: %s", n, why(err))
				return nil
			}
			if p.ctx.Err() != nil {
				return p.ctx.Err()
			}
			inside := n + strings.TrimPrefix(file, full)
			if !o.has("P") {
				inside = strings.TrimLeft(inside, "/")
			}
			if inside == "" || excluded(inside) {
				if fi.IsDir() && inside != "" {
					return iofs.SkipDir
				}
				return nil
			}
			if real, _ := p.v.realpath(file); name != "-" && real == self || fi.mode&iofs.ModeDevice != 0 {
				return nil
			}
			h := &tar.Header{Name: inside, Mode: int64(modeBits(fi.mode)), Uid: fi.uid, Gid: fi.gid, Uname: users[fi.uid], Gname: groups[fi.gid], ModTime: fi.ModTime(), Format: tar.FormatGNU}
			switch {
			case fi.IsDir():
				h.Typeflag, h.Name = tar.TypeDir, strings.TrimSuffix(inside, "/")+"/"
			case fi.mode&iofs.ModeSymlink != 0:
				h.Typeflag = tar.TypeSymlink
				h.Linkname, _ = p.v.Readlink(file)
			default:
				h.Typeflag, h.Size = tar.TypeReg, fi.Size()
			}
			if o.has("v") {
				fmt.Fprintln(map[bool]io.Writer{true: p.err, false: p.out}[name == "-"], h.Name)
			}
			var in io.ReadCloser
			if h.Typeflag == tar.TypeReg {
				var err error
				if in, err = p.open(file); err != nil {
					code = p.failCode(2, "%s: Cannot open: %s", inside, why(err))
					return nil
				}
				defer in.Close()
			}
			if err := tw.WriteHeader(h); err != nil {
				return err
			}
			if in != nil {
				_, err := copyCtx(p.ctx, tw, io.LimitReader(in, h.Size))
				return err
			}
			return nil
		})
		if werr != nil {
			return p.failCode(2, "%s", why(werr))
		}
	}
	err := tw.Close()
	if gz != nil {
		err = errors.Join(err, gz.Close())
	}
	if err != nil {
		return p.failCode(2, "%s", why(err))
	}
	return code
}

// decompress recognises gzip and bzip2 by their first bytes.
func decompress(r io.Reader) (io.Reader, error) {
	head := make([]byte, 3)
	n, err := io.ReadFull(r, head)
	if err != nil && n == 0 {
		return r, err
	}
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case string(head) == "BZh":
		return bzip2.NewReader(r), nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z'}):
		return nil, errors.New("xz is not simulated; use gzip")
	}
	return r, nil
}

func (p *proc) tarExtract(o *options, name, dir string, excluded func(string) bool) int {
	f, err := p.open(name)
	if err != nil {
		return p.failCode(2, "%s: Cannot open: %s", name, why(err))
	}
	defer f.Close()
	r, err := decompress(f)
	if err != nil {
		return p.failCode(2, "%s: %v", name, err)
	}
	strip, _ := strconv.Atoi(o.value["strip"])
	tr := tar.NewReader(r)
	code := 0
	type dirTime struct {
		name string
		when time.Time
	}
	var dirs []dirTime
	found := map[string]bool{}
	for {
		if p.ctx.Err() != nil {
			return 130
		}
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			p.failCode(2, "This does not look like a tar archive")
			return p.failCode(2, "Exiting with failure status due to previous errors")
		}
		inside := strings.TrimPrefix(h.Name, "./")
		if len(o.rest) > 0 {
			hit := false
			for _, w := range o.rest {
				c := strings.TrimSuffix(strings.TrimPrefix(w, "./"), "/")
				if strings.TrimSuffix(inside, "/") == c || strings.HasPrefix(inside, c+"/") || o.has("wildcards") && globMatch(c, inside, false) {
					hit, found[w] = true, true
				}
			}
			if !hit {
				continue
			}
		}
		if excluded(strings.TrimSuffix(inside, "/")) {
			continue
		}
		if o.has("t") {
			if o.has("v") {
				mode := modeString(unixMode(uint32(h.Mode)))
				if h.Typeflag == tar.TypeDir {
					mode = "d" + mode[1:]
				}
				p.printf("%s %s/%s %9d %s %s\n", mode, h.Uname, h.Gname, h.Size, h.ModTime.UTC().Format("2006-01-02 15:04"), h.Name)
			} else {
				p.printf("%s\n", h.Name)
			}
			continue
		}
		target := path.Clean("/" + inside)
		parts := strings.Split(strings.Trim(target, "/"), "/")
		if len(parts) <= strip && strip > 0 {
			continue
		}
		target = strings.Join(parts[strip:], "/")
		full := strings.TrimSuffix(dir, "/") + "/" + target
		if o.has("P") && strings.HasPrefix(h.Name, "/") {
			full = path.Clean(h.Name)
		}
		if o.has("v") {
			p.printf("%s\n", h.Name)
		}
		if o.has("O") {
			copyCtx(p.ctx, p.out, tr)
			continue
		}
		mode := unixMode(uint32(h.Mode) & 0o7777)
		if p.who.uid != 0 && !o.has("p") {
			mode = mode.Perm() &^ p.v.mask()
		}
		if target == "" {
			continue
		}
		err = p.v.MkdirAll(path.Dir(full), 0o755)
		if old, lerr := p.v.Lstat(full); err == nil && lerr == nil && h.Typeflag != tar.TypeDir && !old.IsDir() {
			if o.has("k") {
				continue
			}
			p.v.Remove(full)
		}
		if err == nil {
			switch h.Typeflag {
			case tar.TypeDir:
				err = p.v.MkdirAll(full, 0o755)
				dirs = append(dirs, dirTime{full, h.ModTime})
			case tar.TypeSymlink:
				err = p.v.Symlink(h.Linkname, full)
			case tar.TypeLink:
				err = p.v.Link(strings.TrimSuffix(dir, "/")+"/"+path.Clean("/"+h.Linkname), full)
			case tar.TypeReg:
				var out *file
				if out, err = p.v.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
					_, err = copyCtx(p.ctx, out, tr)
					err = errors.Join(err, out.Close())
				}
			default:
				p.warn("%s: special files are not simulated", h.Name)
				continue
			}
		}
		if err == nil && h.Typeflag != tar.TypeSymlink && h.Typeflag != tar.TypeLink {
			if p.who.uid == 0 && !o.has("no-same-owner") {
				err = p.v.Chown(full, h.Uid, h.Gid, false)
			}
			err = errors.Join(err, p.v.Chmod(full, mode))
			if !o.has("m") {
				p.v.Chtimes(full, h.ModTime, h.ModTime)
			}
		}
		if err != nil {
			code = p.failCode(2, "%s: Cannot open: %s", h.Name, why(err))
		}
	}
	for _, d := range slices.Backward(dirs) {
		if !o.has("m") {
			p.v.Chtimes(d.name, d.when, d.when)
		}
	}
	for _, w := range o.rest {
		if !found[w] {
			code = p.failCode(2, "%s: Not found in archive", w)
		}
	}
	return code
}

func cmdGzip(p *proc) int {
	o, ok := p.parse("cdfk123456789nqtvrN", "stdout=c to-stdout=c decompress=d uncompress=d force=f keep=k fast=1 best=9 test=t verbose=v no-name=n quiet=q recursive=r", false)
	if !ok {
		return 1
	}
	unpack := o.has("d", "t") || p.name != "gzip"
	cat := o.has("c") || p.name == "zcat" || p.name == "bzcat" || len(o.rest) == 0
	names := o.rest
	if len(names) == 0 {
		names = []string{"-"}
	}
	code := 0
	for _, n := range names {
		suffix := ".gz"
		if strings.HasPrefix(p.name, "b") {
			suffix = ".bz2"
		}
		if unpack && n != "-" && !p.v.exists(p.abs(n)) && p.v.exists(p.abs(n+suffix)) {
			n += suffix
		}
		in, err := p.open(n)
		if err != nil {
			code = p.fail("%s: %s", n, why(err))
			continue
		}
		to := n + suffix
		if unpack {
			to = strings.TrimSuffix(n, suffix)
			if strings.HasSuffix(n, ".tgz") {
				to = strings.TrimSuffix(n, ".tgz") + ".tar"
			}
			if to == n && !cat {
				in.Close()
				code = p.failCode(2, "%s: unknown suffix -- ignored", n)
				continue
			}
		}
		var out io.Writer = p.out
		var f io.WriteCloser
		if o.has("t") {
			out = io.Discard
		} else if !cat && n != "-" {
			if p.v.exists(p.abs(to)) && !o.has("f") {
				in.Close()
				code = p.failCode(2, "%s already exists; not overwritten", to)
				continue
			}
			if f, err = p.create(to, os.O_WRONLY|os.O_TRUNC, 0o666); err != nil {
				in.Close()
				code = p.fail("%s: %s", to, why(err))
				continue
			}
			out = f
		}
		if unpack {
			var r io.Reader
			if r, err = decompress(in); err == nil && r != nil {
				_, err = copyCtx(p.ctx, out, r)
			}
		} else {
			gz := gzip.NewWriter(out)
			_, err = copyCtx(p.ctx, gz, in)
			err = errors.Join(err, gz.Close())
		}
		in.Close()
		if f != nil {
			err = errors.Join(err, f.Close())
			if err == nil {
				if fi, serr := p.v.Stat(p.abs(n)); serr == nil {
					p.keepAttributes(to, fi)
				}
				if !o.has("k") {
					p.v.Remove(p.abs(n))
				}
			}
		}
		if err != nil {
			code = p.fail("%s: %s", n, why(err))
		}
	}
	return code
}

func cmdZip(p *proc) int {
	if p.name == "unzip" {
		o, ok := p.parse("oqd:ljnpPv", "", false)
		if !ok || len(o.rest) == 0 {
			return 10
		}
		data, err := p.readAll(o.rest[0])
		if err != nil {
			return p.failCode(9, "cannot find or open %s", o.rest[0])
		}
		zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return p.failCode(9, "%s: not a zip archive", o.rest[0])
		}
		dir := p.dir
		if o.has("d") {
			dir = p.abs(o.value["d"])
		}
		for _, f := range zr.File {
			if o.has("l") {
				p.printf("%9d  %s\n", f.UncompressedSize64, f.Name)
				continue
			}
			full := strings.TrimSuffix(dir, "/") + path.Clean("/"+f.Name)
			if strings.HasSuffix(f.Name, "/") {
				p.v.MkdirAll(full, 0o755)
				continue
			}
			if !f.Mode().IsRegular() {
				continue
			}
			p.v.MkdirAll(path.Dir(full), 0o755)
			in, err := f.Open()
			if err != nil {
				return p.failCode(3, "%v", err)
			}
			out, err := p.v.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, f.Mode().Perm()|0o200)
			if err == nil {
				_, err = copyCtx(p.ctx, out, in)
				err = errors.Join(err, out.Close())
			}
			in.Close()
			if err != nil {
				return p.failCode(50, "%s: %s", f.Name, why(err))
			}
			if !o.has("q") {
				p.printf("  inflating: %s\n", f.Name)
			}
		}
		return 0
	}
	o, ok := p.parse("rqj9065431ym", "recurse-paths=r quiet=q", false)
	if !ok || len(o.rest) < 2 {
		return 16
	}
	f, err := p.create(o.rest[0], os.O_WRONLY|os.O_TRUNC, 0o666)
	if err != nil {
		return p.failCode(15, "%s", why(err))
	}
	defer f.Close()
	zw := zip.NewWriter(f)
	for _, n := range o.rest[1:] {
		p.v.walk(p.abs(n), func(file string, fi *fileInfo, err error) error {
			if err != nil || !fi.mode.IsRegular() {
				return p.ctx.Err()
			}
			h := &zip.FileHeader{Name: strings.TrimLeft(n+strings.TrimPrefix(file, p.abs(n)), "./"), Method: zip.Deflate, Modified: fi.ModTime()}
			h.SetMode(fi.mode)
			w, err := zw.CreateHeader(h)
			if err != nil {
				return err
			}
			in, err := p.open(file)
			if err != nil {
				return err
			}
			defer in.Close()
			_, err = copyCtx(p.ctx, w, in)
			return err
		})
	}
	if err := zw.Close(); err != nil {
		return p.failCode(14, "%v", err)
	}
	return 0
}

// cmdCurl fetches file:// URLs of the guest and http:// from ports that an SSH client forwarded into the guest.
func cmdCurl(p *proc) int {
	wget := p.name == "wget"
	var urls, headers []string
	out, method, body := "", "GET", ""
	remoteName, failHTTP, silent, head, showErr, quietOut := false, false, false, false, false, ""
	args := p.args
	valued := "oHXdwmAueTbcFKryxEzQtPO"
	if wget {
		valued = "OPtTUoe"
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := func() string {
			if _, v, ok := strings.Cut(a, "="); ok && strings.HasPrefix(a, "--") {
				return v
			}
			i++
			if i < len(args) {
				return args[i]
			}
			return ""
		}
		switch {
		case strings.HasPrefix(a, "--"):
			name, _, has := strings.Cut(a[2:], "=")
			switch name {
			case "output", "output-document":
				out = value()
			case "header":
				headers = append(headers, value())
			case "request":
				method = value()
			case "data", "data-raw", "post-data", "data-binary":
				body, method = value(), "POST"
			case "write-out":
				quietOut = value()
			case "remote-name":
				remoteName = true
			case "fail", "fail-with-body":
				failHTTP = true
			case "silent", "quiet":
				silent = true
			case "show-error":
				showErr = true
			case "head":
				head = true
			case "version":
				p.printf("%s 7.81.0 (simulated by tfbake)\n", p.name)
				return 0
			case "retry", "connect-timeout", "max-time", "retry-delay", "user-agent", "cacert", "timeout", "tries", "user", "proxy", "max-redirs", "retry-max-time", "url":
				if v := value(); name == "url" {
					urls = append(urls, v)
				}
			default:
				_ = has
			}
		case len(a) > 1 && a[0] == '-':
			for j := 1; j < len(a); j++ {
				c := a[j]
				v := ""
				takes := strings.IndexByte(valued, c) >= 0 && (wget || c != 'O' && c != 'c')
				if takes {
					if v = a[j+1:]; v == "" {
						i++
						if i < len(args) {
							v = args[i]
						}
					}
				}
				switch {
				case c == 'o' && !wget, c == 'O' && wget:
					out = v
				case c == 'O':
					remoteName = true
				case c == 'H' && !wget:
					headers = append(headers, v)
				case c == 'X':
					method = v
				case c == 'd' && !wget:
					body, method = v, "POST"
				case c == 'w' && !wget:
					quietOut = v
				case c == 'f' && !wget:
					failHTTP = true
				case c == 's', c == 'q':
					silent = true
				case c == 'S':
					showErr = true
				case c == 'I' && !wget:
					head = true
				}
				if takes {
					break
				}
			}
		default:
			urls = append(urls, a)
		}
	}
	if len(urls) == 0 {
		return p.failCode(2, "no URL specified")
	}
	say := func(code int, format string, a ...any) int {
		if !silent || showErr {
			fmt.Fprintf(p.err, "%s: (%d) %s\n", p.name, code, fmt.Sprintf(format, a...))
		}
		return code
	}
	refused := map[bool]int{true: 4, false: 6}[wget]
	for _, raw := range urls {
		if !strings.Contains(raw, "://") {
			raw = "http://" + raw
		}
		u, err := url.Parse(raw)
		if err != nil {
			return say(3, "URL malformed")
		}
		var data []byte
		status := 0
		switch u.Scheme {
		case "file":
			if data, err = p.readAll(path.Clean("/" + u.Path)); err != nil {
				return say(37, "Couldn't open file %s", u.Path)
			}
		case "http":
			port := 80
			if v := u.Port(); v != "" {
				port, _ = strconv.Atoi(v)
			}
			if !p.g.isLocal(u.Hostname()) {
				return say(refused, "Could not resolve host: %s (no network: this server is simulated by tfbake)", u.Hostname())
			}
			tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
				return p.g.dial(ctx, "localhost", port)
			}}
			client := &http.Client{Transport: tr, Timeout: 60 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			if head {
				method = "HEAD"
			}
			req, rerr := http.NewRequestWithContext(p.ctx, method, raw, strings.NewReader(body))
			if rerr != nil {
				return say(3, "URL malformed")
			}
			for _, h := range headers {
				if k, v, ok := strings.Cut(h, ":"); ok {
					req.Header.Set(strings.TrimSpace(k), strings.TrimSpace(v))
				}
			}
			resp, derr := client.Do(req)
			if derr != nil {
				return say(7, "Failed to connect to %s port %d: Connection refused", u.Hostname(), port)
			}
			data, err = io.ReadAll(io.LimitReader(resp.Body, 256<<20))
			resp.Body.Close()
			status = resp.StatusCode
			if err != nil {
				return say(56, "Failure when receiving data")
			}
			if status >= 400 && (failHTTP || wget) {
				return say(map[bool]int{true: 8, false: 22}[wget], "The requested URL returned error: %d", status)
			}
			if head {
				data = fmt.Appendf(nil, "HTTP/1.1 %s\r\n\r\n", resp.Status)
			}
		default:
			return say(refused, "Could not resolve host: %s (no network: this server is simulated by tfbake)", u.Hostname())
		}
		file := out
		if file == "" && (remoteName || wget) {
			if file = path.Base(u.Path); file == "/" || file == "." {
				file = "index.html"
			}
		}
		if file != "" && file != "-" {
			w, err := p.create(file, os.O_WRONLY|os.O_TRUNC, 0o666)
			if err == nil {
				_, err = w.Write(data)
				err = errors.Join(err, w.Close())
			}
			if err != nil {
				return say(23, "Failure writing output to destination: %s", why(err))
			}
		} else {
			p.out.Write(data)
		}
		if quietOut != "" {
			p.printf("%s", unescape(strings.ReplaceAll(quietOut, "%{http_code}", fmt.Sprintf("%03d", status))))
		}
	}
	return 0
}

func (g *Guest) isLocal(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1" || host == g.hostname()
}
