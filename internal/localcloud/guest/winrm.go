package guest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM is built on it
)

// winrmConfig is the state of the WinRM service, kept in the guest.
type winrmConfig struct {
	Enabled     bool `json:"enabled"`
	HTTPS       bool `json:"https"`
	Basic       bool `json:"basic"`
	Unencrypted bool `json:"allow_unencrypted"`
	SSH         bool `json:"ssh"`
}

// winrmService speaks WS-Management to clients that run commands in remote shells.
type winrmService struct {
	g *Guest

	mu      sync.Mutex
	pending context.CancelFunc // a scheduled shutdown
	shells  map[string]*winrmShell
	cert    *tls.Certificate
}

func newWinRM(g *Guest) *winrmService { return &winrmService{g: g, shells: map[string]*winrmShell{}} }

func (s *winrmService) config() winrmConfig { return loadJSON(s.g, "winrm.json", winrmConfig{}) }

func (s *winrmService) configure(change func(*winrmConfig)) {
	s.g.pkgMu.Lock()
	defer s.g.pkgMu.Unlock()
	c := s.config()
	change(&c)
	saveJSON(s.g, "winrm.json", c)
}

type winrmShell struct {
	id   string
	user string
	w    *winProc
	ctx  context.Context
	stop context.CancelFunc

	mu       sync.Mutex
	commands map[string]*winrmCommand
}

type winrmCommand struct {
	id     string
	stop   context.CancelFunc
	stdin  *io.PipeWriter
	mu     sync.Mutex
	news   chan struct{} // closed and renewed when there is something to receive
	stdout []byte
	stderr []byte
	done   bool
	code   int
}

// winrmBuffer bounds what a command may write ahead of its client.
const winrmBuffer = 8 << 20

func (c *winrmCommand) wake() {
	close(c.news)
	c.news = make(chan struct{})
}

// stream collects one of the command's outputs, and waits when the client does not fetch it.
func (c *winrmCommand) stream(ctx context.Context, dst *[]byte) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		for {
			c.mu.Lock()
			if len(*dst) < winrmBuffer {
				*dst = append(*dst, b...)
				c.wake()
				c.mu.Unlock()
				return len(b), nil
			}
			wait := c.news
			c.mu.Unlock()
			select {
			case <-wait:
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	})
}

// oneConn is a listener of one connection.
type oneConn struct {
	conn net.Conn
	once sync.Once
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	var c net.Conn
	l.once.Do(func() { c = l.conn })
	if c != nil {
		return &closeNotify{Conn: c, done: l.done}, nil
	}
	<-l.done
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

type closeNotify struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

func (c *closeNotify) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

type ntlmKey struct{}

// ntlmState is what a connection remembers between the messages of a login.
type ntlmState struct {
	mu        sync.Mutex
	challenge []byte
	user      string
}

func (s *winrmService) serve(ctx context.Context, conn net.Conn, secure bool) {
	c := s.config()
	if s.g.sys.Family != "windows" || !c.Enabled || secure && !c.HTTPS {
		return // nothing listens: the connection is closed
	}
	if secure {
		cert, err := s.certificate()
		if err != nil {
			s.g.logf("guest: winrm certificate: %v", err)
			return
		}
		conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12})
	}
	l := &oneConn{conn: conn, done: make(chan struct{})}
	srv := &http.Server{
		Handler:           http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { s.handle(ctx, rw, r, secure) }),
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(ctx, ntlmKey{}, &ntlmState{}) },
	}
	stop := context.AfterFunc(ctx, func() { srv.Close(); conn.Close() })
	defer stop()
	srv.Serve(l)
	<-l.done
}

// certificate makes a self-signed one, new with every boot of the process.
func (s *winrmService) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cert != nil {
		return s.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: s.g.hostname()}, DNSNames: []string{s.g.hostname()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	s.cert = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return s.cert, nil
}

// authenticate returns the user, or answers with what is missing.
func (s *winrmService) authenticate(rw http.ResponseWriter, r *http.Request, secure bool) (string, bool) {
	c := s.config()
	refuse := func(challenge string) (string, bool) {
		if challenge != "" {
			rw.Header().Set("WWW-Authenticate", "Negotiate "+challenge)
		} else {
			rw.Header().Add("WWW-Authenticate", "Negotiate")
			if c.Basic {
				rw.Header().Add("WWW-Authenticate", `Basic realm="WSMAN"`)
			}
		}
		rw.Header().Set("Content-Length", "0")
		rw.WriteHeader(http.StatusUnauthorized)
		return "", false
	}
	if !secure && !c.Unencrypted {
		// Without AllowUnencrypted only messages sealed by the login are taken, which this simulation does not speak.
		return refuse("")
	}
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "basic":
		user, pw, ok := r.BasicAuth()
		if !ok || !c.Basic || !s.g.checkWindowsPassword(user, pw) {
			return refuse("")
		}
		name, _ := s.g.windowsHash(user)
		return name, true
	case "negotiate", "ntlm":
		msg, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		state, _ := r.Context().Value(ntlmKey{}).(*ntlmState)
		if err != nil || state == nil || len(msg) < 12 || string(msg[:8]) != "NTLMSSP\x00" {
			return refuse("")
		}
		state.mu.Lock()
		defer state.mu.Unlock()
		switch binary.LittleEndian.Uint32(msg[8:]) {
		case 1:
			state.challenge = make([]byte, 8)
			rand.Read(state.challenge)
			return refuse(base64.StdEncoding.EncodeToString(ntlmChallenge(state.challenge, strings.ToUpper(s.g.hostname()))))
		case 3:
			if state.challenge == nil {
				return refuse("")
			}
			user, ok := s.g.ntlmVerify(msg, state.challenge)
			state.challenge = nil
			if !ok {
				return refuse("")
			}
			state.user = user
			return user, true
		}
		return refuse("")
	case "":
		if state, _ := r.Context().Value(ntlmKey{}).(*ntlmState); state != nil {
			state.mu.Lock()
			defer state.mu.Unlock()
			if state.user != "" {
				return state.user, true
			}
		}
	}
	return refuse("")
}

// ntHash is the NT hash of a password.
func ntHash(password string) []byte {
	h := md4.New()
	h.Write(utf16le(password))
	return h.Sum(nil)
}

// ntlmChallenge is a type 2 message (MS-NLMP 2.2.1.2).
func ntlmChallenge(challenge []byte, name string) []byte {
	target := utf16le(name)
	var info bytes.Buffer
	pair := func(id uint16, v []byte) {
		binary.Write(&info, binary.LittleEndian, id)
		binary.Write(&info, binary.LittleEndian, uint16(len(v)))
		info.Write(v)
	}
	pair(2, target) // NetBIOS domain
	pair(1, target) // NetBIOS computer
	pair(4, utf16le(strings.ToLower(name)))
	pair(3, utf16le(strings.ToLower(name)))
	stamp := make([]byte, 8)
	binary.LittleEndian.PutUint64(stamp, uint64(time.Now().UnixNano()/100+116444736000000000))
	pair(7, stamp)
	pair(0, nil)
	const flags = 0x00000001 | 0x00000004 | 0x00000200 | 0x00008000 | 0x00020000 | 0x00080000 | 0x00800000 | 0x02000000 | 0x20000000 | 0x80000000
	const head = 56
	var b bytes.Buffer
	b.WriteString("NTLMSSP\x00")
	w := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	w(uint32(2))
	w(uint16(len(target)))
	w(uint16(len(target)))
	w(uint32(head))
	w(uint32(flags))
	b.Write(challenge)
	b.Write(make([]byte, 8))
	w(uint16(info.Len()))
	w(uint16(info.Len()))
	w(uint32(head + len(target)))
	b.Write([]byte{10, 0, 0x63, 0x45, 0, 0, 0, 15}) // version
	b.Write(target)
	b.Write(info.Bytes())
	return b.Bytes()
}

// ntlmVerify checks a type 3 message against the challenge: NTLMv2 only.
func (g *Guest) ntlmVerify(msg, challenge []byte) (string, bool) {
	field := func(at int) ([]byte, bool) {
		if at+8 > len(msg) {
			return nil, false
		}
		n, off := int(binary.LittleEndian.Uint16(msg[at:])), int(binary.LittleEndian.Uint32(msg[at+4:]))
		if off < 0 || n < 0 || off+n > len(msg) {
			return nil, false
		}
		return msg[off : off+n], true
	}
	response, ok1 := field(20)
	domain, ok2 := field(28)
	user, ok3 := field(36)
	if !ok1 || !ok2 || !ok3 || len(response) < 44 {
		return "", false
	}
	name, hash := g.windowsHash(decodeUTF16(user))
	if hash == nil {
		return "", false
	}
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(md5.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	v2 := mac(hash, utf16le(strings.ToUpper(decodeUTF16(user))), domain)
	if !hmac.Equal(mac(v2, challenge, response[16:]), response[:16]) {
		return "", false
	}
	return name, true
}

const (
	nsShell    = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	nsTransfer = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
)

// wsRequest is the part of an envelope that matters.
type wsRequest struct {
	Header struct {
		Action    string `xml:"Action"`
		Resource  string `xml:"ResourceURI"`
		MessageID string `xml:"MessageID"`
		Timeout   string `xml:"OperationTimeout"`
		Selectors []struct {
			Name  string `xml:"Name,attr"`
			Value string `xml:",chardata"`
		} `xml:"SelectorSet>Selector"`
		Options []struct {
			Name  string `xml:"Name,attr"`
			Value string `xml:",chardata"`
		} `xml:"OptionSet>Option"`
	} `xml:"Header"`
	Body struct {
		Identify *struct{} `xml:"Identify"`
		Shell    *struct {
			ShellID     string `xml:"ShellId,attr"`
			WorkingDir  string `xml:"WorkingDirectory"`
			Environment []struct {
				Name  string `xml:"Name,attr"`
				Value string `xml:",chardata"`
			} `xml:"Environment>Variable"`
		} `xml:"Shell"`
		CommandLine *struct {
			Command   string   `xml:"Command"`
			Arguments []string `xml:"Arguments"`
		} `xml:"CommandLine"`
		Send *struct {
			Streams []struct {
				CommandID string `xml:"CommandId,attr"`
				End       string `xml:"End,attr"`
				Data      string `xml:",chardata"`
			} `xml:"Stream"`
		} `xml:"Send"`
		Receive *struct {
			Stream struct {
				CommandID string `xml:"CommandId,attr"`
			} `xml:"DesiredStream"`
		} `xml:"Receive"`
		Signal *struct {
			CommandID string `xml:"CommandId,attr"`
			Code      string `xml:"Code"`
		} `xml:"Signal"`
	} `xml:"Body"`
}

// wsFault is a SOAP fault.
type wsFault struct {
	code, subcode, text string
	number              int64
}

var (
	faultShell   = &wsFault{"s:Sender", "w:InvalidSelectors", "The request contained invalid selectors for the resource: there is no such shell or command.", 2150858843}
	faultTimeout = &wsFault{"s:Receiver", "w:TimedOut", "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.", 2150858793}
	faultAction  = &wsFault{"s:Sender", "wsa:ActionNotSupported", "The action is not supported by the simulated service.", 2150858767}
)

func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

func (s *winrmService) handle(ctx context.Context, rw http.ResponseWriter, r *http.Request, secure bool) {
	if r.URL.Path != "/wsman" {
		http.Error(rw, "not found", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		http.Error(rw, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return
	}
	user, ok := s.authenticate(rw, r, secure)
	if !ok {
		return
	}
	if len(body) == 0 {
		// The first leg of a login may come without its message.
		rw.WriteHeader(http.StatusOK)
		return
	}
	var req wsRequest
	if err := xml.Unmarshal(body, &req); err != nil {
		http.Error(rw, "malformed envelope", http.StatusBadRequest)
		return
	}
	action, text, fault := s.answer(ctx, r.Context(), user, &req)
	if r.Context().Err() != nil || ctx.Err() != nil {
		return
	}
	status := http.StatusOK
	if fault != nil {
		status = http.StatusInternalServerError
		action = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
		text = fmt.Sprintf(`<s:Fault><s:Code><s:Value>%s</s:Value><s:Subcode><s:Value>%s</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">%s</s:Text></s:Reason>`+
			`<s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="%d" Machine="%s"><f:Message>%s</f:Message></f:WSManFault></s:Detail></s:Fault>`,
			fault.code, fault.subcode, fault.text, fault.number, s.g.hostname(), fault.text)
	}
	var relates bytes.Buffer
	xml.EscapeText(&relates, []byte(req.Header.MessageID))
	out := fmt.Sprintf(`<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:x="%s" `+
		`xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="%s" xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"><s:Header><a:Action>%s</a:Action><a:MessageID>uuid:%s</a:MessageID>`+
		`<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To><a:RelatesTo>%s</a:RelatesTo></s:Header><s:Body>%s</s:Body></s:Envelope>`,
		nsTransfer, nsShell, action, newUUID(), relates.String(), text)
	rw.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
	rw.Header().Set("Content-Length", strconv.Itoa(len(out)))
	rw.WriteHeader(status)
	io.WriteString(rw, out)
}

func (s *winrmService) shell(req *wsRequest, user string) *winrmShell {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sel := range req.Header.Selectors {
		if sel.Name == "ShellId" {
			if sh := s.shells[strings.TrimSpace(sel.Value)]; sh != nil && sh.user == user && sh.ctx.Err() == nil {
				return sh
			}
		}
	}
	return nil
}

func (sh *winrmShell) command(id string) *winrmCommand {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.commands[strings.TrimSpace(id)]
}

// answer does what a request asks: the action and body of the response, or a fault.
func (s *winrmService) answer(ctx, reqCtx context.Context, user string, req *wsRequest) (string, string, *wsFault) {
	if req.Body.Identify != nil {
		return "", `<wsmid:IdentifyResponse xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion><wsmid:ProductVendor>tfbake (simulated)</wsmid:ProductVendor></wsmid:IdentifyResponse>`, nil
	}
	action := strings.TrimSpace(req.Header.Action)
	if action == nsTransfer+"/Create" {
		return s.createShell(ctx, user, req)
	}
	sh := s.shell(req, user)
	if sh == nil {
		return "", "", faultShell
	}
	switch action {
	case nsTransfer + "/Delete":
		s.mu.Lock()
		delete(s.shells, sh.id)
		s.mu.Unlock()
		sh.stop()
		return nsTransfer + "/DeleteResponse", "", nil
	case nsShell + "/Command":
		if req.Body.CommandLine == nil {
			return "", "", faultAction
		}
		line := req.Body.CommandLine.Command
		for _, a := range req.Body.CommandLine.Arguments {
			line += " " + a
		}
		c := s.start(sh, line)
		return nsShell + "/CommandResponse", "<rsp:CommandResponse><rsp:CommandId>" + c.id + "</rsp:CommandId></rsp:CommandResponse>", nil
	case nsShell + "/Send":
		if req.Body.Send == nil {
			return "", "", faultAction
		}
		for _, st := range req.Body.Send.Streams {
			c := sh.command(st.CommandID)
			if c == nil {
				return "", "", faultShell
			}
			data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(st.Data))
			if err != nil {
				return "", "", &wsFault{"s:Sender", "w:SchemaValidationError", "The input is not base64.", 2150858752}
			}
			if len(data) > 0 {
				// A command that has ended reads no more: the pipe is closed and the data lost, as it is there.
				c.stdin.Write(data)
			}
			if strings.EqualFold(st.End, "true") {
				c.stdin.Close()
			}
		}
		return nsShell + "/SendResponse", "<rsp:SendResponse/>", nil
	case nsShell + "/Receive":
		if req.Body.Receive == nil {
			return "", "", faultAction
		}
		c := sh.command(req.Body.Receive.Stream.CommandID)
		if c == nil {
			return "", "", faultShell
		}
		return s.receive(reqCtx, sh, c, operationTimeout(req.Header.Timeout))
	case nsShell + "/Signal":
		if req.Body.Signal == nil {
			return "", "", faultAction
		}
		if c := sh.command(req.Body.Signal.CommandID); c != nil {
			c.stop()
			c.stdin.Close()
			sh.mu.Lock()
			delete(sh.commands, c.id)
			sh.mu.Unlock()
		}
		return nsShell + "/SignalResponse", "<rsp:SignalResponse/>", nil
	}
	return "", "", faultAction
}

func (s *winrmService) createShell(ctx context.Context, user string, req *wsRequest) (string, string, *wsFault) {
	if r := strings.TrimSpace(req.Header.Resource); r != nsShell+"/cmd" {
		return "", "", &wsFault{"s:Sender", "w:InvalidResourceURI", "Only the shell cmd is simulated.", 2150858752}
	}
	sctx, stop := context.WithCancel(ctx)
	sh := &winrmShell{id: newUUID(), user: user, ctx: sctx, stop: stop, commands: map[string]*winrmCommand{}}
	sh.w = s.g.newWinProc(sctx, user, nil, io.Discard, io.Discard)
	if b := req.Body.Shell; b != nil {
		for _, v := range b.Environment {
			sh.w.setenv(v.Name, v.Value)
		}
		if b.WorkingDir != "" && sh.w.v.isDir(sh.w.path(sh.w.expand(b.WorkingDir))) {
			sh.w.dir = sh.w.abs(sh.w.expand(b.WorkingDir))
		}
	}
	s.mu.Lock()
	n := 0
	for id, old := range s.shells {
		if old.ctx.Err() != nil {
			delete(s.shells, id)
			continue
		}
		if old.user == user {
			n++
		}
	}
	if n >= 30 { // MaxShellsPerUser
		s.mu.Unlock()
		stop()
		return "", "", &wsFault{"s:Receiver", "w:QuotaLimit", "The WS-Management service cannot process the request. The maximum number of concurrent shells for this user has been exceeded.", 2150859174}
	}
	s.shells[sh.id] = sh
	s.mu.Unlock()
	return nsTransfer + "/CreateResponse", fmt.Sprintf(`<x:ResourceCreated><a:Address>http://localhost/wsman</a:Address><a:ReferenceParameters><w:ResourceURI>%s/cmd</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">%s</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>`+
		`<rsp:Shell><rsp:ShellId>%s</rsp:ShellId><rsp:ResourceUri>%s/cmd</rsp:ResourceUri><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>`, nsShell, sh.id, sh.id, nsShell), nil
}

func (s *winrmService) start(sh *winrmShell, line string) *winrmCommand {
	ctx, stop := context.WithCancel(sh.ctx)
	pr, pw := io.Pipe()
	c := &winrmCommand{id: newUUID(), stop: stop, stdin: pw, news: make(chan struct{})}
	w := *sh.w
	w.ctx = ctx
	w.env = cloneEnv(sh.w.env)
	w.in, w.out, w.err = pr, c.stream(ctx, &c.stdout), c.stream(ctx, &c.stderr)
	w.files = &openFiles{set: map[io.Closer]bool{}}
	w.pid = s.g.nextPID()
	sh.mu.Lock()
	sh.commands[c.id] = c
	sh.mu.Unlock()
	s.g.wg.Add(1)
	go func() {
		defer s.g.wg.Done()
		defer stop()
		code := 1
		if s.g.addProcess(&process{pid: w.pid, user: sh.user, args: []string{"cmd.exe", line}, started: time.Now(), kill: func(error) { stop() }}) {
			defer s.g.removeProcess(w.pid)
			func() {
				defer func() {
					if r := recover(); r != nil {
						s.g.logf("guest: winrm command: %v", r)
						fmt.Fprintf(w.err, "internal error of the simulation: %v\r\n", r)
					}
				}()
				code = w.command(line)
			}()
		}
		w.files.close()
		pr.CloseWithError(errors.New("the command has ended"))
		c.mu.Lock()
		c.done, c.code = true, code
		c.wake()
		c.mu.Unlock()
	}()
	unblock := context.AfterFunc(ctx, func() { pr.CloseWithError(context.Canceled) })
	_ = unblock
	return c
}

// operationTimeout reads an ISO 8601 duration of seconds and minutes.
func operationTimeout(s string) time.Duration {
	s = strings.ToUpper(strings.TrimSpace(s))
	s = strings.TrimPrefix(s, "PT")
	d, err := time.ParseDuration(strings.ToLower(s))
	if err != nil || d <= 0 || d > 10*time.Minute {
		return 60 * time.Second
	}
	return d
}

// receiveChunk keeps a response below the envelope size clients ask for.
const receiveChunk = 48 << 10

func (s *winrmService) receive(ctx context.Context, sh *winrmShell, c *winrmCommand, limit time.Duration) (string, string, *wsFault) {
	t := time.NewTimer(max(limit-time.Second, limit/2))
	defer t.Stop()
	for {
		c.mu.Lock()
		if len(c.stdout) > 0 || len(c.stderr) > 0 || c.done {
			var b strings.Builder
			b.WriteString("<rsp:ReceiveResponse>")
			take := func(name string, src *[]byte) {
				if n := min(len(*src), receiveChunk); n > 0 {
					fmt.Fprintf(&b, `<rsp:Stream Name="%s" CommandId="%s">%s</rsp:Stream>`, name, c.id, base64.StdEncoding.EncodeToString((*src)[:n]))
					*src = (*src)[n:]
				}
			}
			take("stdout", &c.stdout)
			take("stderr", &c.stderr)
			state := "Running"
			exit := ""
			if c.done && len(c.stdout) == 0 && len(c.stderr) == 0 {
				for _, n := range []string{"stdout", "stderr"} {
					fmt.Fprintf(&b, `<rsp:Stream Name="%s" CommandId="%s" End="true"/>`, n, c.id)
				}
				state, exit = "Done", fmt.Sprintf("<rsp:ExitCode>%d</rsp:ExitCode>", c.code)
			}
			fmt.Fprintf(&b, `<rsp:CommandState CommandId="%s" State="%s/CommandState/%s">%s</rsp:CommandState></rsp:ReceiveResponse>`, c.id, nsShell, state, exit)
			c.mu.Unlock()
			return nsShell + "/ReceiveResponse", b.String(), nil
		}
		news := c.news
		c.mu.Unlock()
		select {
		case <-news:
		case <-t.C:
			return "", "", faultTimeout
		case <-ctx.Done():
			return "", "", faultTimeout
		case <-sh.ctx.Done():
			return "", "", faultShell
		}
	}
}
