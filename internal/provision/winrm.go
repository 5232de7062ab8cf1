package provision

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/Azure/go-ntlmssp"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ui"
)

const winrmTimeout = 30 * time.Minute // winrm_timeout unless set

// winrmComm is a Communicator over WinRM. It holds no connection: each command is a shell of its own.
type winrmComm struct {
	c    config.Communicator
	t    Target
	log  Log
	addr string
	ws   *wsman
}

func connectWinRM(ctx context.Context, c config.Communicator, t Target, log Log) (Communicator, error) {
	if log == nil {
		log = (*ui.Story)(nil)
	}
	w, failed := newWinRM(c, t, log)
	if failed != nil {
		return nil, w.waiter().finish(failed)
	}
	log.Say("Waiting for WinRM on %s as %s (at most %s)...", w.addr, w.ws.user, w.waiter().timeout)
	if err := w.Reconnect(ctx); err != nil {
		return nil, err
	}
	if c.PauseBeforeConnecting > 0 {
		log.Info("connected; pause_before_connecting: leaving the server alone for %s", c.PauseBeforeConnecting)
		if err := sleep(ctx, c.PauseBeforeConnecting); err != nil {
			return nil, fmt.Errorf("pause before connecting: %w", err)
		}
		if err := w.Reconnect(ctx); err != nil {
			return nil, err
		}
	}
	log.Info("connected to WinRM")
	return w, nil
}

func newWinRM(c config.Communicator, t Target, log Log) (*winrmComm, *ConnectError) {
	w := &winrmComm{c: c, t: t, log: log}
	host := firstOf(c.Host, t.Host)
	port := c.Port
	if port == 0 {
		port = t.Port
	}
	scheme := "http"
	if c.UseSSL {
		scheme = "https"
	}
	if port == 0 {
		port = 5985
		if c.UseSSL {
			port = 5986
		}
	}
	w.c.Port = port
	w.addr = net.JoinHostPort(host, strconv.Itoa(port))
	dial := t.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			conn, err := dial(ctx, network, addr)
			if reached, ok := ctx.Value(reachedKey{}).(*atomic.Bool); ok && err == nil {
				reached.Store(true)
			}
			return conn, err
		},
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: c.Insecure},
		TLSHandshakeTimeout: handshakeTimeout,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
	}
	if !c.NoProxy {
		transport.Proxy = http.ProxyFromEnvironment
	}
	var rt http.RoundTripper = transport
	if c.UseNTLM {
		// As with Packer, a service that offers nothing but basic authentication gets that.
		rt = ntlmssp.Negotiator{RoundTripper: transport, AllowBasicAuth: true}
	}
	w.ws = &wsman{
		http: &http.Client{Transport: rt}, url: fmt.Sprintf("%s://%s/wsman", scheme, w.addr),
		user: firstOf(c.Username, t.User, "Administrator"), password: firstOf(c.Password, t.Password),
	}
	switch {
	case host == "":
		return w, stageError(StageSetup, "the server has no address")
	case w.ws.password == "":
		return w, stageError(StageSetup, "there is no password to log in with; set winrm_password")
	}
	return w, nil
}

func (w *winrmComm) waiter() waiter {
	user := ""
	if w.ws != nil {
		user = w.ws.user
	}
	wait := waiter{protocol: "WinRM", addr: w.addr, user: user, timeout: w.c.Timeout, handshakes: 60, log: w.log}
	if wait.timeout <= 0 {
		wait.timeout = winrmTimeout
	}
	if w.t.Facts.InitScript {
		wait.handshakes = 1 << 30 // user_data is what allows the login, often minutes after the service is there
	}
	wait.hint = func(e *ConnectError) []string { return hints(e, w.c.Port, w.t.Facts) }
	return wait
}

// Reconnect waits until a command can be run.
func (w *winrmComm) Reconnect(ctx context.Context) error {
	return w.waiter().until(ctx, func(ctx context.Context) *ConnectError {
		exit, err := w.Run(ctx, Command{Line: "cmd.exe /c exit 0"})
		switch {
		case err != nil:
			return w.diagnose(err)
		case exit != 0:
			return stageError(StageSession, "logged in, but the smallest command exits with %d", exit)
		}
		return nil
	})
}

// Close has nothing to end.
func (w *winrmComm) Close() error {
	w.ws.http.CloseIdleConnections()
	return nil
}

// diagnose tells what a failed attempt means.
func (w *winrmComm) diagnose(err error) *ConnectError {
	var status *wsStatusError
	var fault *wsFault
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var dial *dialFailure
	tried := "basic authentication"
	if w.c.UseNTLM {
		tried = "NTLM"
	}
	switch {
	case errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden),
		errors.As(err, &fault) && (fault.Subcode == "AccessDenied" || fault.Code == "5"):
		e := stageError(StageAuth, "%s refuses the login of %s by %s", w.addr, w.ws.user, tried)
		e.Tried = []string{tried}
		return e
	case errors.As(err, &status):
		return stageError(StageBanner, "%s answers, but not as WinRM: %w", w.addr, err)
	case errors.As(err, &fault):
		return stageError(StageSession, "logged in, but no command can be run: %w", err)
	case errors.As(err, &cert):
		return stageError(StageKex, "the certificate of %s is not trusted: %w", w.addr, cert.Err)
	case errors.As(err, &record), errors.As(err, &alert), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return stageError(StageKex, "%s does not speak TLS (winrm_use_ssl): %w", w.addr, err)
	case errors.As(err, &dial):
		return dialError(dial.error, w.addr)
	case errors.Is(err, io.EOF), isReset(err):
		return stageError(StageReset, "%s takes the connection and closes it: %w", w.addr, err)
	case isTimeout(err):
		return stageError(StageBanner, "%s takes the connection but does not answer: %w", w.addr, err)
	}
	return stageError(StageRoute, "no WinRM on %s: %w", w.addr, err)
}

// dialFailure marks an error from before there was a connection.
type dialFailure struct{ error }

func (d *dialFailure) Unwrap() error { return d.error }

// Run runs a command line with cmd.exe.
func (w *winrmComm) Run(ctx context.Context, c Command) (exit int, err error) {
	stdout, stderr := orDiscard(c.Stdout), &clixml{w: orDiscard(c.Stderr)}
	defer stderr.close()
	shell, err := w.ws.openShell(ctx)
	if err != nil {
		return 0, w.notStarted(ctx, err)
	}
	defer func() {
		// Its own time: a shell that stays open counts against the user's quota, also after a cancel.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		w.ws.closeShell(ctx, shell)
	}()
	id, err := w.ws.start(ctx, shell, c.Line)
	var fault *wsFault
	var dial *dialFailure
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.As(err, &fault), errors.As(err, &dial):
		return 0, w.notStarted(ctx, err)
	default:
		// The request went out and no answer came: it may run. It must not run twice.
		return 0, fmt.Errorf("%w (%w)", ErrDisconnected, err)
	}
	// What stops standard input stops the command: it would wait for the rest for ever.
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	fed := make(chan struct{})
	var feedErr error
	go func() {
		defer close(fed)
		if feedErr = w.feed(running, shell, id, c.Stdin); feedErr == nil || running.Err() != nil {
			return
		}
		// A command that has ended takes no more input; then its exit code, which is on its way, tells more.
		sleep(running, time.Second)
		stop(feedErr)
	}()

	for {
		ended, exit, err := w.ws.receive(running, shell, id, stdout, stderr)
		switch {
		case running.Err() != nil:
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			w.ws.terminate(ctx, shell, id)
			return 0, context.Cause(running)
		case noOutputYet(err):
		case err != nil:
			return 0, fmt.Errorf("%w (%w)", ErrDisconnected, err)
		case ended:
			stop(nil)
			if c.Stdin != nil && exit == 0 {
				if <-fed; feedErr != nil && !errors.Is(feedErr, context.Canceled) {
					return exit, fmt.Errorf("send standard input: %w", feedErr)
				}
			}
			return exit, nil
		}
	}
}

// notStarted wraps an error from before a command ran; those that another attempt may mend as errConnection.
func (w *winrmComm) notStarted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("start a command: %w (%w)", context.Cause(ctx), err)
	}
	return fmt.Errorf("%w: %w", errConnection, err)
}

// feed sends standard input, the end of it too.
func (w *winrmComm) feed(ctx context.Context, shell, id string, stdin io.Reader) error {
	if stdin == nil {
		return nil
	}
	buf := make([]byte, stdinChunk)
	for {
		n, err := io.ReadFull(stdin, buf)
		end := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !end {
			return err
		}
		if err := w.ws.send(ctx, shell, id, buf[:n], end); err != nil {
			return err
		}
		if end {
			return nil
		}
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// clixml makes text of what PowerShell writes to a standard error that is no console: XML, of which only the error,
// warning and verbose records are for people. Anything else is passed on as it is.
type clixml struct {
	w     io.Writer
	buf   []byte
	plain bool
}

const clixmlMark = "#< CLIXML"

func (c *clixml) Write(p []byte) (int, error) {
	if c.plain {
		return c.w.Write(p)
	}
	c.buf = append(c.buf, p...)
	n := min(len(c.buf), len(clixmlMark))
	if string(c.buf[:n]) != clixmlMark[:n] || len(c.buf) > 4<<20 {
		c.plain = true
		_, err := c.w.Write(c.buf)
		c.buf = nil
		return len(p), err
	}
	return len(p), nil
}

func (c *clixml) close() {
	if c.plain || len(c.buf) == 0 {
		return
	}
	if len(c.buf) < len(clixmlMark) {
		c.w.Write(c.buf)
		return
	}
	io.WriteString(c.w, clixmlText(string(c.buf)))
}

var clixmlEscapes = strings.NewReplacer("_x000D_", "\r", "_x000A_", "\n", "_x0009_", "\t", "_x001B_", "\x1b", "_x005F_", "_")

func clixmlText(s string) string {
	var b strings.Builder
	d := xml.NewDecoder(strings.NewReader(strings.ReplaceAll(s, clixmlMark, "")))
	d.Strict = false
	for {
		t, err := d.Token()
		if err != nil {
			return b.String()
		}
		if e, ok := t.(xml.StartElement); ok && e.Name.Local == "S" {
			kind := ""
			for _, a := range e.Attr {
				if a.Name.Local == "S" {
					kind = a.Value
				}
			}
			var text string
			if d.DecodeElement(&text, &e) == nil && (strings.EqualFold(kind, "error") || strings.EqualFold(kind, "warning") || strings.EqualFold(kind, "verbose")) {
				b.WriteString(clixmlEscapes.Replace(text))
			}
		}
	}
}

// encodedCommand is a command line that runs a PowerShell script whatever shell takes it.
func encodedCommand(script string) string {
	var wide []byte
	for _, u := range utf16.Encode([]rune(script)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	return "powershell -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand " + base64.StdEncoding.EncodeToString(wide)
}

// The two scripts that move files speak the same language, a line at a time: ">name" begins a file, "<name" makes a
// directory (names relative, UTF-8 in base64, empty for the destination itself), any other line is the file's next bytes in
// base64. So a directory is one stream in one command, and a message is filled to the brim.
const receiveScript = `# tfbake: receive files
begin {
$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'
$root = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath(%s)
$file = $null
function place($line) {
$name = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line.Substring(1)))
if ($name) { [IO.Path]::Combine($root, $name) } else { $root }
}
}
process {
foreach ($line in $input) {
if (-not $line) { continue }
if ($line[0] -eq '>') {
if ($file) { $file.Close() }
$to = place $line
[void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($to))
$file = [IO.File]::Create($to)
} elseif ($line[0] -eq '<') { [void][IO.Directory]::CreateDirectory((place $line))
} else { $bytes = [Convert]::FromBase64String($line); $file.Write($bytes, 0, $bytes.Length) }
}
}
end { if ($file) { $file.Close() } }
`

const sendScript = `# tfbake: send files
$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'
$from = %s
$out = [Console]::Out
function line($kind, $name) { $out.WriteLine($kind + [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($name))) }
function put($path, $name) {
line '>' $name
$file = [IO.File]::Open($path, 'Open', 'Read', 'ReadWrite')
$bytes = New-Object byte[] 49152
while (($n = $file.Read($bytes, 0, $bytes.Length)) -gt 0) { $out.WriteLine([Convert]::ToBase64String($bytes, 0, $n)) }
$file.Close()
}
function tree($path, $name) {
foreach ($i in Get-ChildItem -LiteralPath $path -Force) {
$n = $i.Name; if ($name) { $n = $name + '/' + $i.Name }
if ($i.PSIsContainer) { line '<' $n; tree $i.FullName $n } else { put $i.FullName $n }
}
}
%s
`

// What sendScript ends with: one file, a directory's contents, or items with their names.
const (
	sendFile     = `$i = Get-Item -LiteralPath $from -Force; if ($i.PSIsContainer) { throw "$from is a directory; end the source with a slash to download its contents" }; put $i.FullName ''`
	sendContents = `tree (Get-Item -LiteralPath $from -Force).FullName ''`
	sendItem     = `$i = Get-Item -LiteralPath $from -Force; if ($i.PSIsContainer) { line '<' $i.Name; tree $i.FullName $i.Name } else { put $i.FullName $i.Name }`
	sendPattern  = `$all = @(Get-Item -Path $from -Force); if (-not $all) { throw "nothing matches $from" }; foreach ($i in $all) { if ($i.PSIsContainer) { line '<' $i.Name; tree $i.FullName $i.Name } else { put $i.FullName $i.Name } }`
)

// psPath quotes a path for PowerShell; $env:TEMP in it is filled in, as Packer's users expect.
func psPath(p string) string {
	return `"` + strings.NewReplacer("`", "``", `"`, "`\"").Replace(p) + `"`
}

// psQuote makes a PowerShell string in which nothing is filled in.
func psQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// dataLine is how many bytes of a file one line carries: just less than a message of standard input.
const dataLine = 74_997

func nameLine(kind, name string) string {
	return kind + base64.StdEncoding.EncodeToString([]byte(name)) + "\r\n"
}

// Upload writes r to the server's file dst, whose directory is made if need be. mode means nothing on Windows.
func (w *winrmComm) Upload(ctx context.Context, dst string, r io.Reader, size int64, _ fs.FileMode) error {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.WriteString(pw, nameLine(">", ""))
		if err == nil {
			err = writeData(pw, r, size)
		}
		pw.CloseWithError(err)
	}()
	defer pr.Close()
	return w.script(ctx, "upload to "+dst, fmt.Sprintf(receiveScript, psPath(dst)), pr, nil)
}

// writeData writes r in lines of base64.
func writeData(w io.Writer, r io.Reader, size int64) error {
	buf := make([]byte, dataLine)
	var total int64
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			total += int64(n)
			if _, err := io.WriteString(w, base64.StdEncoding.EncodeToString(buf[:n])+"\r\n"); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			if size >= 0 && total != size {
				return fmt.Errorf("the source had %d bytes when the transfer began and gave %d", size, total)
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// UploadDir copies the directory src below dst, in one stream.
func (w *winrmComm) UploadDir(ctx context.Context, dst, src string) error {
	files, err := listDir(src)
	if err != nil {
		return fmt.Errorf("upload %s: %w", src, err)
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(writeTree(pw, files)) }()
	defer pr.Close()
	return w.script(ctx, fmt.Sprintf("upload %s to %s", src, dst), fmt.Sprintf(receiveScript, psPath(dst)), pr, nil)
}

func writeTree(w io.Writer, files []localFile) error {
	if _, err := io.WriteString(w, nameLine("<", "")); err != nil {
		return err
	}
	for _, f := range files {
		if f.mode.IsDir() {
			if _, err := io.WriteString(w, nameLine("<", f.rel)); err != nil {
				return err
			}
			continue
		}
		if _, err := io.WriteString(w, nameLine(">", f.rel)); err != nil {
			return err
		}
		if err := f.open(func(r io.Reader, size int64) error { return writeData(w, r, size) }); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return nil
}

// Download writes the server's file src to w.
func (w *winrmComm) Download(ctx context.Context, src string, to io.Writer) error {
	return w.script(ctx, "download "+src, fmt.Sprintf(sendScript, psPath(src), sendFile), nil,
		&treeReader{file: func(string) (io.WriteCloser, error) { return nopWriteCloser{to}, nil }, dir: func(string) error { return errors.New("a directory came where a file was expected") }})
}

type nopWriteCloser struct{ io.Writer }

func (nopWriteCloser) Close() error { return nil }

// DownloadDir copies the server's directory or pattern src below dst.
func (w *winrmComm) DownloadDir(ctx context.Context, src, dst string) error {
	what := sendItem
	switch {
	case isPattern(src):
		what = sendPattern
	case strings.HasSuffix(src, "/") || strings.HasSuffix(src, `\`):
		what = sendContents
	}
	place := func(name string) (string, error) {
		for _, part := range strings.Split(name, "/") {
			if !safeName(part) {
				return "", fmt.Errorf("the server names a file %q", name)
			}
		}
		return filepath.Join(dst, filepath.FromSlash(path.Clean(name))), nil
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	return w.script(ctx, fmt.Sprintf("download %s to %s", src, dst), fmt.Sprintf(sendScript, psPath(src), what), nil, &treeReader{
		file: func(name string) (io.WriteCloser, error) {
			to, err := place(name)
			if err != nil {
				return nil, err
			}
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return nil, err
			}
			return os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		},
		dir: func(name string) error {
			to, err := place(name)
			if err != nil {
				return err
			}
			return os.MkdirAll(to, 0o755)
		},
	})
}

// script runs a PowerShell script that moves files.
func (w *winrmComm) script(ctx context.Context, what, script string, stdin io.Reader, stdout *treeReader) error {
	var said limitedBuffer
	var got sync.WaitGroup
	var readErr error
	c := Command{Line: encodedCommand(script), Stdin: stdin, Stdout: &said, Stderr: &said}
	var pw *io.PipeWriter
	if stdout != nil {
		var pr *io.PipeReader
		pr, pw = io.Pipe()
		c.Stdout = pw
		got.Go(func() {
			readErr = stdout.read(pr)
			pr.CloseWithError(readErr)
		})
	}
	exit, err := w.Run(ctx, c)
	if pw != nil {
		pw.Close()
		got.Wait()
	}
	switch {
	case errors.Is(err, ErrDisconnected):
		err = fmt.Errorf("%w: %w", errConnection, err) // half a file is written anew
	case err == nil && exit != 0:
		err = fmt.Errorf("exit code %d: %s", exit, said.String())
	case err == nil && readErr != nil && readErr != io.EOF:
		err = readErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// treeReader takes what sendScript writes.
type treeReader struct {
	file func(name string) (io.WriteCloser, error)
	dir  func(name string) error
}

func (t *treeReader) read(r io.Reader) (err error) {
	lines := bufio.NewReaderSize(r, 128<<10)
	var open io.WriteCloser
	defer func() {
		if open != nil {
			err = errors.Join(err, open.Close())
		}
	}()
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimSpace(line)
		if line != "" {
			if err := t.line(line, &open); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *treeReader) line(line string, open *io.WriteCloser) error {
	kind := line[0]
	data := line
	if kind == '>' || kind == '<' {
		data = line[1:]
	}
	text, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return fmt.Errorf("the server sends %q where a file was expected", clip(line, 60))
	}
	switch {
	case kind == '<':
		return t.dir(string(text))
	case kind == '>':
		if *open != nil {
			if err := (*open).Close(); err != nil {
				return err
			}
			*open = nil
		}
		*open, err = t.file(string(text))
		return err
	case *open == nil:
		return errors.New("the server sends bytes of no file")
	}
	_, err = (*open).Write(text)
	return err
}
