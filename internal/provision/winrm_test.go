//go:build unix

package provision

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/ui"
)

// testWindows is a WinRM service. It knows the few command lines that tfbake makes up itself, over a directory that stands
// for drive C, and gives the rest to exec.
type testWindows struct {
	t    *testing.T
	http *httptest.Server
	c    string // C:\
	exec func(line string, stdout, stderr io.Writer) int
	auth func(*http.Request) int // status; 0: let in

	mu      sync.Mutex
	shells  map[string]bool
	cmds    map[string]*testCommand
	lines   []string
	sends   int
	boot    int
	down    bool
	maxBody int
}

type testCommand struct {
	line     string
	shell    string
	once     sync.Once
	stdin    bytes.Buffer
	ended    chan struct{}
	stop     chan struct{}
	mu       sync.Mutex
	out, err bytes.Buffer
	exit     int
}

func (c *testCommand) terminate() { c.once.Do(func() { close(c.stop) }) }

func (c *testCommand) writer(b *bytes.Buffer) io.Writer { return lockedWriter{&c.mu, b} }

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func startWindows(t *testing.T, tls bool, configure ...func(*testWindows)) *testWindows {
	t.Helper()
	w := &testWindows{t: t, c: t.TempDir(), shells: map[string]bool{}, cmds: map[string]*testCommand{}}
	w.auth = func(r *http.Request) int {
		if u, p, ok := r.BasicAuth(); !ok || u != "Administrator" || p != testPassword {
			return http.StatusUnauthorized
		}
		return 0
	}
	for _, f := range configure {
		f(w)
	}
	w.http = httptest.NewUnstartedServer(w)
	w.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.http.EnableHTTP2 = false
	if tls {
		w.http.StartTLS()
	} else {
		w.http.Start()
	}
	t.Cleanup(func() {
		w.http.CloseClientConnections()
		w.http.Close()
	})
	return w
}

func (w *testWindows) target() Target {
	a := w.http.Listener.Addr().(*net.TCPAddr)
	return Target{Host: "127.0.0.1", Port: a.Port, User: "Administrator", Password: testPassword}
}

var wsTag = func(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)<(?:\w+:)?` + name + `\b([^>]*)>(.*?)</(?:\w+:)?` + name + `>`)
}

func wsText(body, tag string) (attrs, text string) {
	m := wsTag(tag).FindStringSubmatch(body)
	if m == nil {
		return "", ""
	}
	var out string
	xml.Unmarshal([]byte("<x>"+m[2]+"</x>"), &out)
	return m[1], out
}

func (w *testWindows) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.maxBody = max(w.maxBody, len(raw))
	down := w.down
	w.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	if status := w.auth(r); status != 0 {
		if rw.Header().Get("WWW-Authenticate") == "" {
			rw.Header().Set("WWW-Authenticate", `Basic realm="WSMAN"`)
		}
		rw.WriteHeader(status)
		return
	}
	body := string(raw)
	rw.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
	answer := func(format string, args ...any) {
		fmt.Fprintf(rw, `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:rsp="%s" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Header/><s:Body>%s</s:Body></s:Envelope>`, wsShell, fmt.Sprintf(format, args...))
	}
	fault := func(subcode, code, text string) {
		rw.WriteHeader(500)
		answer(`<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:%s</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">%s</s:Text></s:Reason><s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="%s" Machine="x"><f:Message>%s </f:Message></f:WSManFault></s:Detail></s:Fault>`, subcode, text, code, text)
	}
	_, action := wsText(body, "Action")
	_, shell := wsText(body, "Selector")
	w.mu.Lock()
	known := w.shells[shell]
	w.mu.Unlock()
	if action != wsCreate && !known {
		fault("InvalidSelectors", "2150858843", "The request for the Windows Remote Shell failed because the shell was not found on the server.")
		return
	}
	switch action {
	case wsCreate:
		id := newUUID()
		w.mu.Lock()
		w.shells[id] = true
		w.mu.Unlock()
		answer(`<x:ResourceCreated><a:Address>http</a:Address><a:ReferenceParameters><w:ResourceURI>x</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">%s</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>`, id)
	case wsDelete:
		w.mu.Lock()
		delete(w.shells, shell)
		for _, c := range w.cmds {
			if c.shell == shell {
				c.terminate()
			}
		}
		w.mu.Unlock()
		answer("")
	case wsCommand:
		_, line := wsText(body, "Command")
		id := newUUID()
		c := &testCommand{line: line, shell: shell, ended: make(chan struct{}), stop: make(chan struct{})}
		w.mu.Lock()
		w.cmds[id] = c
		w.lines = append(w.lines, line)
		w.mu.Unlock()
		if !strings.Contains(decoded(line), "receive files") {
			go w.execute(c)
		}
		answer(`<rsp:CommandResponse><rsp:CommandId>%s</rsp:CommandId></rsp:CommandResponse>`, id)
	case wsSend:
		attrs, text := wsText(body, "Stream")
		c := w.command(attrs)
		data, _ := base64.StdEncoding.DecodeString(text)
		w.mu.Lock()
		w.sends++
		w.mu.Unlock()
		c.stdin.Write(data)
		if strings.Contains(attrs, `End="true"`) {
			go w.execute(c)
		}
		answer(`<rsp:SendResponse/>`)
	case wsReceive:
		attrs, _ := wsText(body, "DesiredStream")
		c := w.command(attrs)
		state := "Running"
		select {
		case <-c.ended:
			state = "Done"
		case <-r.Context().Done():
			return
		case <-time.After(50 * time.Millisecond):
			c.mu.Lock()
			n := c.out.Len() + c.err.Len()
			c.mu.Unlock()
			if n == 0 {
				fault("TimedOut", "2150858793", "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.")
				return
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		streams := ""
		for name, b := range map[string]*bytes.Buffer{"stdout": &c.out, "stderr": &c.err} {
			if b.Len() > 0 {
				streams += fmt.Sprintf(`<rsp:Stream Name="%s">%s</rsp:Stream>`, name, base64.StdEncoding.EncodeToString(b.Bytes()))
				b.Reset()
			}
		}
		exit := ""
		if state == "Done" {
			exit = fmt.Sprintf("<rsp:ExitCode>%d</rsp:ExitCode>", c.exit)
		}
		answer(`<rsp:ReceiveResponse>%s<rsp:CommandState State="%s/CommandState/%s">%s</rsp:CommandState></rsp:ReceiveResponse>`, streams, wsShell, state, exit)
	case wsSignal:
		attrs, _ := wsText(body, "Signal")
		w.command(attrs).terminate()
		answer(`<rsp:SignalResponse/>`)
	}
}

func (w *testWindows) command(attrs string) *testCommand {
	m := regexp.MustCompile(`CommandId="([^"]*)"`).FindStringSubmatch(attrs)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cmds[m[1]]
}

// decoded is the script of an encoded command, or nothing.
func decoded(line string) string {
	_, b64, ok := strings.Cut(line, "-EncodedCommand ")
	if !ok {
		return ""
	}
	wide, _ := base64.StdEncoding.DecodeString(b64)
	var units []uint16
	for i := 0; i+1 < len(wide); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(wide[i:]))
	}
	return string(utf16.Decode(units))
}

// host maps a Windows path into the directory that stands for drive C.
func (w *testWindows) host(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if len(p) > 1 && p[1] == ':' {
		p = p[2:]
	}
	return filepath.Join(w.c, p)
}

func (w *testWindows) execute(c *testCommand) {
	defer close(c.ended)
	out, errw := c.writer(&c.out), c.writer(&c.err)
	script := decoded(c.line)
	quoted := regexp.MustCompile(`(?m)(?:FromPSPath\(|\$from = )"(.*?)"\)?$`).FindStringSubmatch(script)
	switch {
	case c.line == "cmd.exe /c exit 0":
	case strings.HasPrefix(script, "# tfbake: receive files"):
		root := w.host(quoted[1])
		reader := &treeReader{
			file: func(name string) (io.WriteCloser, error) {
				to := filepath.Join(root, name)
				os.MkdirAll(filepath.Dir(to), 0o755)
				return os.Create(to)
			},
			dir: func(name string) error { return os.MkdirAll(filepath.Join(root, name), 0o755) },
		}
		if err := reader.read(&c.stdin); err != nil {
			fmt.Fprintln(errw, err)
			c.exit = 1
		}
	case strings.HasPrefix(script, "# tfbake: send files"):
		from := w.host(quoted[1])
		put := func(name, rel string) {
			text, _ := os.ReadFile(name)
			io.WriteString(out, nameLine(">", rel))
			writeData(out, bytes.NewReader(text), -1)
		}
		if strings.Contains(script, "\n"+sendFile[:40]) && strings.Contains(script, "is a directory") {
			if _, err := os.Stat(from); err != nil {
				fmt.Fprintf(errw, "#< CLIXML\r\n<Objs Version=\"1.1.0.1\"><S S=\"Error\">Cannot find path '%s'_x000D__x000A_</S></Objs>", quoted[1])
				c.exit = 1
				return
			}
			put(from, "")
			return
		}
		rel := ""
		if strings.Contains(script, sendItem) {
			rel = filepath.Base(from)
		}
		filepath.WalkDir(from, func(p string, d os.DirEntry, err error) error {
			name, _ := filepath.Rel(from, p)
			if name = filepath.Join(rel, name); name == "." {
				return nil
			}
			if d.IsDir() {
				io.WriteString(out, nameLine("<", name))
			} else {
				put(p, name)
			}
			return nil
		})
	case strings.HasPrefix(script, "# tfbake: remove files"):
		for _, m := range regexp.MustCompile(`'([^']*)'`).FindAllStringSubmatch(script, -1) {
			os.Remove(w.host(m[1]))
		}
	case strings.HasPrefix(script, "# tfbake: boot time"):
		w.mu.Lock()
		fmt.Fprintf(out, "boot=%d\r\n", w.boot)
		w.mu.Unlock()
	case strings.Contains(script, "restarted."):
		fmt.Fprint(out, "WIN restarted.\r\n")
	default:
		c.exit = w.exec(c.line, out, stopWriter{errw, c.stop})
	}
}

// stopWriter lets exec see that the command was terminated.
type stopWriter struct {
	io.Writer
	stop chan struct{}
}

func connectWindows(t *testing.T, w *testWindows, c config.Communicator) Communicator {
	t.Helper()
	c.Type = "winrm"
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	comm, err := Connect(t.Context(), c, w.target(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { comm.Close() })
	return comm
}

func echoExec(line string, stdout, stderr io.Writer) int {
	fmt.Fprintf(stdout, "ran %s\r\n", line)
	fmt.Fprint(stderr, "#< CLIX", "ML\r\n<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\"><Obj S=\"progress\"><S>loading</S></Obj><S S=\"Error\">Write-Error &lt;x&gt;_x000D__x000A_</S></Objs>")
	return 3
}

func TestWinRMRun(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		w := startWindows(t, tls, func(w *testWindows) { w.exec = echoExec })
		c := connectWindows(t, w, config.Communicator{UseSSL: tls, Insecure: tls})
		out, exit := runLine(t, c, `echo "a" & b <c> ]]> %PATH%`)
		if exit != 3 || out != "ran echo \"a\" & b <c> ]]> %PATH%\r\nWrite-Error <x>\r\n" {
			t.Errorf("got %q, %d", out, exit)
		}
		w.mu.Lock()
		if len(w.shells) != 0 {
			t.Errorf("%d shells are left open", len(w.shells))
		}
		w.mu.Unlock()
	}
}

func TestWinRMDiagnosis(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		tls    bool
		server func(*testWindows)
		comm   config.Communicator
		target func(*Target)
		stage  Stage
		parts  []string
	}{
		{"wrong password", false, nil, config.Communicator{Password: "guess-4711"}, nil, StageAuth, []string{"basic authentication", `"Administrator"`, "AllowUnencrypted"}},
		{"no password", false, nil, config.Communicator{}, func(t *Target) { t.Password = "" }, StageSetup, []string{"winrm_password"}},
		{"not WinRM", false, func(w *testWindows) { w.auth = func(*http.Request) int { return 404 } }, config.Communicator{}, nil, StageBanner, []string{"404"}},
		{"certificate", true, nil, config.Communicator{UseSSL: true}, nil, StageKex, []string{"not trusted", "winrm_insecure"}},
		{"no TLS there", false, nil, config.Communicator{UseSSL: true, Insecure: true}, nil, StageKex, []string{"does not speak TLS"}},
		{"refused", false, nil, config.Communicator{}, func(t *Target) { t.Port = 1 }, StageRefused, []string{"nothing listens on port 1", "winrm_timeout"}},
		{"closes", false, func(w *testWindows) { w.down = true }, config.Communicator{}, nil, StageReset, []string{"closes it"}},
		{"filtered", false, nil, config.Communicator{}, func(t *Target) {
			t.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		}, StageTimeout, []string{"nothing answers", "port"}},
		{"silent", false, nil, config.Communicator{}, func(t *Target) {
			t.Dial = func(context.Context, string, string) (net.Conn, error) { a, _ := net.Pipe(); return a, nil }
		}, StageBanner, []string{"does not answer"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := startWindows(t, tt.tls, func(w *testWindows) {
				if tt.server != nil {
					tt.server(w)
				}
			})
			target := w.target()
			target.Facts.InitScript = true
			if tt.target != nil {
				tt.target(&target)
			}
			err := attemptWinRM(t, target, tt.comm)
			connectError(t, err, tt.stage, tt.parts...)
			if strings.Contains(err.Error(), testPassword) || strings.Contains(err.Error(), "guess-4711") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

// attemptWinRM tries to connect once, and returns what Connect would when its time is up.
func attemptWinRM(t *testing.T, target Target, c config.Communicator) error {
	t.Helper()
	d := 30 * time.Second
	if target.Dial != nil {
		d = 300 * time.Millisecond // one that never ends by itself
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	w, failed := newWinRM(c, target, (*ui.Story)(nil))
	if failed == nil {
		if _, err := w.Run(ctx, Command{Line: "cmd.exe /c exit 0"}); err != nil {
			failed = w.diagnose(err)
		} else {
			return nil
		}
	}
	return w.waiter().finish(failed)
}

// NTLM as far as our side goes: the service challenges, and gets an answer for the right user.
func TestWinRMNTLM(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	users := map[string]int{}
	server := startWindows(t, false, func(w *testWindows) { w.exec = echoExec })
	plain := server.http.Config.Handler
	server.auth = func(*http.Request) int { return 0 }
	server.http.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		msg, _ := base64.StdEncoding.DecodeString(token)
		switch {
		case len(msg) < 12 || !bytes.HasPrefix(msg, []byte("NTLMSSP\x00")):
			if strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") {
				t.Error("the password went over the line by basic authentication")
			}
			rw.Header().Set("WWW-Authenticate", "Negotiate")
			rw.WriteHeader(401)
		case msg[8] == 1:
			rw.Header().Set("WWW-Authenticate", "Negotiate "+base64.StdEncoding.EncodeToString(ntlmChallenge()))
			rw.WriteHeader(401)
		default:
			n, off := binary.LittleEndian.Uint16(msg[36:]), binary.LittleEndian.Uint32(msg[40:])
			var units []uint16
			for i := uint32(0); i+1 < uint32(n); i += 2 {
				units = append(units, binary.LittleEndian.Uint16(msg[off+i:]))
			}
			mu.Lock()
			users[string(utf16.Decode(units))]++
			mu.Unlock()
			plain.ServeHTTP(rw, r)
		}
	})
	c := connectWindows(t, server, config.Communicator{UseNTLM: true})
	if _, exit := runLine(t, c, "x"); exit != 3 {
		t.Error(exit)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(users) != 1 || users["Administrator"] == 0 {
		t.Errorf("users: %v", users)
	}
}

// A service that offers only basic authentication gets that, and one that offers neither gets no password.
func TestWinRMNTLMNotOffered(t *testing.T) {
	t.Parallel()
	for _, offer := range []string{"Basic realm=\"WSMAN\"", "Kerberos"} {
		server := startWindows(t, false, func(w *testWindows) { w.exec = echoExec })
		plain := server.http.Config.Handler
		server.http.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch r.Header.Get("Authorization") {
			case "":
				rw.Header().Set("WWW-Authenticate", offer)
				rw.WriteHeader(401)
				return
			default:
				if offer == "Kerberos" {
					t.Error("the password was told unasked")
				}
			}
			plain.ServeHTTP(rw, r)
		})
		if offer == "Kerberos" {
			connectError(t, attemptWinRM(t, server.target(), config.Communicator{UseNTLM: true}), StageAuth, "by NTLM")
			continue
		}
		if _, exit := runLine(t, connectWindows(t, server, config.Communicator{UseNTLM: true}), "x"); exit != 3 {
			t.Error(exit)
		}
	}
}

// ntlmChallenge is a CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2) with target information.
func ntlmChallenge() []byte {
	info := []byte{7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0} // time, end
	b := make([]byte, 56)
	copy(b, "NTLMSSP\x00")
	b[8] = 2
	binary.LittleEndian.PutUint32(b[16:], 56)
	binary.LittleEndian.PutUint32(b[20:], 0x00800000|0x00000200|0x00000001|0x00080000) // target info, NTLM, Unicode, extended security
	copy(b[24:], "chalenge")
	binary.LittleEndian.PutUint16(b[40:], uint16(len(info)))
	binary.LittleEndian.PutUint16(b[42:], uint16(len(info)))
	binary.LittleEndian.PutUint32(b[44:], 56)
	return append(b, info...)
}

func TestWinRMTransfer(t *testing.T) {
	t.Parallel()
	w := startWindows(t, false)
	c := connectWindows(t, w, config.Communicator{})
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<14) // 256 KiB
	w.mu.Lock()
	before := w.sends
	w.mu.Unlock()
	if err := c.Upload(t.Context(), `c:/new dir/b"ig`, bytes.NewReader(big), int64(len(big)), 0o600); err == nil {
		// A quote is escaped for PowerShell; the stand-in does not undo that.
		if err := c.Upload(t.Context(), `c:/new dir/big`, bytes.NewReader(big), int64(len(big)), 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(w.host(`C:\new dir\big`)); !bytes.Equal(got, big) {
		t.Errorf("%d bytes arrived of %d", len(got), len(big))
	}
	w.mu.Lock()
	if n := w.sends - before; n > 14 {
		t.Errorf("512 KiB took %d messages", n)
	}
	if w.maxBody > envelopeSize {
		t.Errorf("a message has %d bytes, more than %d", w.maxBody, envelopeSize)
	}
	w.mu.Unlock()
	var back bytes.Buffer
	if err := c.Download(t.Context(), `c:\new dir\big`, &back); err != nil || !bytes.Equal(back.Bytes(), big) {
		t.Errorf("%d bytes came back of %d, %v", back.Len(), len(big), err)
	}
	if err := c.Upload(t.Context(), "c:/empty", strings.NewReader(""), 0, 0); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(w.host("c:/empty")); err != nil || info.Size() != 0 {
		t.Error(info, err)
	}
	if err := c.Download(t.Context(), "c:/absent", io.Discard); err == nil || !strings.Contains(err.Error(), "Cannot find path 'c:/absent'") {
		t.Errorf("got %v", err)
	}
	if err := c.Upload(t.Context(), "c:/short", strings.NewReader("x"), 5, 0); err == nil {
		t.Error("a source that is shorter than announced gives no error")
	}

	src := makeTree(t)
	os.Chmod(src+"/bin/run", 0o644)
	want := regexp.MustCompile(`(?m) \d+ `).ReplaceAllString(tree(t, src), " - ")
	check := func(dir string) {
		t.Helper()
		if got := regexp.MustCompile(`(?m) \d+ `).ReplaceAllString(tree(t, dir), " - "); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", dir, got, want)
		}
	}
	if err := c.UploadDir(t.Context(), `C:\one`, src); err != nil {
		t.Fatal(err)
	}
	check(w.host("c:/one/app"))
	if err := c.UploadDir(t.Context(), `C:\two`, src+"/"); err != nil {
		t.Fatal(err)
	}
	check(w.host("c:/two"))
	local := t.TempDir()
	if err := c.DownloadDir(t.Context(), "c:/two/", local+"/contents"); err != nil {
		t.Fatal(err)
	}
	check(local + "/contents")
	if err := c.DownloadDir(t.Context(), "c:/two", local); err != nil {
		t.Fatal(err)
	}
	check(local + "/two")
}

func TestWinRMCancel(t *testing.T) {
	t.Parallel()
	stopped := make(chan bool, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	w := startWindows(t, false, func(w *testWindows) {
		w.exec = func(_ string, _, stderr io.Writer) int {
			time.Sleep(100 * time.Millisecond) // most often the command's output is waited for by then
			cancel(why)
			select {
			case <-stderr.(stopWriter).stop:
				stopped <- true
			case <-time.After(30 * time.Second):
				stopped <- false
			}
			return 1
		}
	})
	c := connectWindows(t, w, config.Communicator{})
	if _, err := c.Run(ctx, Command{Line: "forever"}); !errors.Is(err, why) || !<-stopped {
		t.Errorf("got %v", err)
	}
}

func windowsRunner(t *testing.T, w *testWindows, provisioners string) (*Options, *syncBuffer, func() error) {
	t.Helper()
	r := redact.New()
	story, text := newStory(r)
	o := &Options{
		Steps: template(t, provisioners).Steps, Story: story, Redactor: r, Target: w.target(), Communicator: config.Communicator{Type: "winrm"},
		Values: config.RunValues{BuildName: "win", BuilderType: "ncloud", WinRMPassword: testPassword, Password: testPassword},
		Comm:   connectWindows(t, w, config.Communicator{}),
	}
	return o, text, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		return Run(ctx, *o)
	}
}

// TestPowerShell looks at what reaches the server: files and command lines.
func TestPowerShell(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "setup.ps1")
	os.WriteFile(script, []byte("Write-Output hi\r\n"), 0o600)
	tests := []struct {
		name, step string
		line       string // pattern of the command line
		files      map[string]string
	}{
		{"inline", `{"type": "powershell", "environment_vars": ["A=it's \"$x\" ` + "`" + `"], "inline": ["Write-Output 1", "exit 0"]}`,
			`^powershell -executionpolicy bypass -file (c:/Windows/Temp/script-[0-9a-f]+\.ps1)$`,
			map[string]string{"$1": "$env:A=\"it`'s `\"`$x`\" ``\"; $env:PACKER_BUILDER_TYPE=\"ncloud\"; $env:PACKER_BUILD_NAME=\"win\"; \r\nWrite-Output 1\r\nexit 0\r\n} catch {"}},
		{"script", `{"type": "powershell", "script": ` + quote(script) + `}`,
			`^powershell -executionpolicy bypass -command "& \{ .*; *\. (c:/Windows/Temp/tfbake-env-[0-9a-f]+\.ps1); &'(c:/Windows/Temp/script-[0-9a-f]+\.ps1)'; exit \$LastExitCode \}"$`,
			map[string]string{"$1": `$env:PACKER_BUILD_NAME="win"; `, "$2": "Write-Output hi\r\n"}},
		{"pwsh, policy, debug", `{"type": "powershell", "use_pwsh": true, "execution_policy": "remotesigned", "debug_mode": 1, "inline": ["x"]}`,
			`^pwsh -executionpolicy remotesigned -file (.*)$`, map[string]string{"$1": "Set-PSDebug -Trace 1\r\n"}},
		{"execute_command", `{"type": "powershell", "execute_command": "ps {{.Path}} {{.Vars}}", "remote_path": "c:/x.ps1", "remote_env_var_path": "c:/v.ps1", "inline": ["x"]}`,
			`^ps c:/x\.ps1 c:/v\.ps1$`, map[string]string{"c:/v.ps1": "$env:PACKER_BUILD_NAME"}},
		{"not ASCII", `{"type": "powershell", "remote_path": "c:/k.ps1", "inline": ["Write-Output 한글"]}`, `.`, map[string]string{"c:/k.ps1": "\ufeffif (Test-Path"}},
		{"elevated", "{\"type\": \"powershell\", \"elevated_user\": \"Administrator\", \"elevated_password\": \"{{build `Password`}}\", \"inline\": [\"x\"]}",
			`^powershell -NoProfile -ExecutionPolicy Bypass -File (c:/Windows/Temp/tfbake-elevated-[0-9a-f]+\.ps1)$`,
			map[string]string{"$1": "6, 'Administrator', '" + testPassword + "', 1, $null)"}},
		{"elevated as SYSTEM", `{"type": "powershell", "elevated_user": "SYSTEM", "elevated_password": "", "elevated_execute_command": "run it's {{.Path}}", "inline": ["x"]}`,
			`-File (c:/Windows/Temp/tfbake-elevated-[0-9a-f]+\.ps1)$`, map[string]string{"$1": "6, 'SYSTEM', $null, 5, $null)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := startWindows(t, false, func(s *testWindows) {
				s.exec = func(line string, out, _ io.Writer) int {
					m := regexp.MustCompile(tt.line).FindStringSubmatch(line)
					if m == nil {
						t.Errorf("command line: %s\nwant %s", line, tt.line)
						return 0
					}
					for name, want := range tt.files {
						for i := range m {
							name = strings.ReplaceAll(name, fmt.Sprintf("$%d", i), m[i])
						}
						if text, err := os.ReadFile(s.host(name)); err != nil || !strings.Contains(string(text), want) {
							t.Errorf("%s lacks %q: %v\n%s", name, want, err, text)
						}
					}
					fmt.Fprintf(out, "output with %s\r\n", testPassword)
					return 0
				}
			})
			_, story, run := windowsRunner(t, w, "["+tt.step+"]")
			if err := run(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(story.String(), "output with "+redact.Mask) || strings.Contains(story.String(), testPassword) {
				t.Errorf("story:\n%s", story)
			}
			if left, _ := filepath.Glob(w.c + "/Windows/Temp/*"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestPowerShellExitCode(t *testing.T) {
	t.Parallel()
	w := startWindows(t, false, func(w *testWindows) { w.exec = echoExec })
	_, _, run := windowsRunner(t, w, `[{"type": "powershell", "inline": ["x"]}]`)
	if err := run(); err == nil || !strings.Contains(err.Error(), "inline script exited with 3") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(w.c + "/Windows/Temp/*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	_, _, run = windowsRunner(t, w, `[{"type": "powershell", "valid_exit_codes": [0, 3], "inline": ["x"]}]`)
	if err := run(); err != nil {
		t.Error(err)
	}
}

// Sysprep shuts the server down under the last step.
func TestSysprep(t *testing.T) {
	settlePause = 50 * time.Millisecond
	defer func() { settlePause = 5 * time.Second }()
	step := `{"type": "powershell", "inline": ["Sysprep.exe /oobe /generalize /shutdown"]}`
	for _, tt := range []struct {
		name, steps string
		stopped     func(context.Context) (bool, error)
		err         string
	}{
		{"the cloud says so", "[" + step + "]", func(context.Context) (bool, error) { return true, nil }, ""},
		{"no answer any more", "[" + step + "]", nil, ""},
		{"steps left", "[" + step + "," + step + "]", nil, "windows-restart after it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := startWindows(t, false, func(s *testWindows) {
				s.exec = func(string, io.Writer, io.Writer) int {
					s.mu.Lock()
					s.down = true
					s.mu.Unlock()
					s.http.CloseClientConnections()
					<-t.Context().Done()
					return 0
				}
			})
			o, story, run := windowsRunner(t, w, tt.steps)
			o.Stopped = tt.stopped
			err := run()
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q\n%s", err, tt.err, story)
			}
		})
	}
}

func TestWindowsShell(t *testing.T) {
	t.Parallel()
	w := startWindows(t, false, func(s *testWindows) {
		s.exec = func(line string, out, _ io.Writer) int {
			text, _ := os.ReadFile(s.host("c:/Windows/Temp/script.bat"))
			fmt.Fprintf(out, "%s | %q\n", line, text)
			return 0
		}
	})
	_, story, run := windowsRunner(t, w, `[{"type": "windows-shell", "environment_vars": ["A=b c"], "inline": ["echo 1", "echo 2"]}]`)
	if err := run(); err != nil {
		t.Fatal(err)
	}
	want := `set "A=b c" && set "PACKER_BUILDER_TYPE=ncloud" && set "PACKER_BUILD_NAME=win" && "c:/Windows/Temp/script.bat" | "echo 1\r\necho 2\r\n"`
	if !strings.Contains(story.String(), want) {
		t.Errorf("the story lacks %s:\n%s", want, story)
	}
}

func TestWindowsRestart(t *testing.T) {
	settlePause = 50 * time.Millisecond
	defer func() { settlePause = 5 * time.Second }()
	w := startWindows(t, false, func(s *testWindows) {
		s.boot = 100
		s.exec = func(line string, out, _ io.Writer) int {
			if !strings.HasPrefix(line, "shutdown /r") {
				fmt.Fprintf(out, "checked by %s\r\n", line)
				return 0
			}
			go func() {
				time.Sleep(150 * time.Millisecond) // it still answers for a while
				s.mu.Lock()
				s.down = true
				s.mu.Unlock()
				time.Sleep(300 * time.Millisecond)
				s.mu.Lock()
				s.down, s.boot, s.shells = false, 200, map[string]bool{}
				s.mu.Unlock()
			}()
			return 0
		}
	})
	_, story, run := windowsRunner(t, w, `[{"type": "windows-restart", "restart_timeout": "90s", "restart_check_command": "my check", "check_registry": true, "registry_keys": ["HKLM:x"]}]`)
	start := time.Now()
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 450*time.Millisecond {
		t.Errorf("took only %s", took)
	}
	if !strings.Contains(story.String(), "checked by my check") || !strings.Contains(story.String(), "The server has restarted") {
		t.Errorf("story:\n%s", story)
	}

	w.exec = func(string, io.Writer, io.Writer) int { return 0 } // nothing happens
	_, _, run = windowsRunner(t, w, `[{"type": "windows-restart", "restart_timeout": "700ms"}]`)
	if err := run(); err == nil || !strings.Contains(err.Error(), "restart_timeout") {
		t.Errorf("got %v", err)
	}
	w.exec = func(string, io.Writer, io.Writer) int { return 5 }
	_, _, run = windowsRunner(t, w, `[{"type": "windows-restart"}]`)
	if err := run(); err == nil || !strings.Contains(err.Error(), "restart_command exited with 5") {
		t.Errorf("got %v", err)
	}
}
