package provision

// The few messages of WS-Management that a remote shell takes (MS-WSMV 3.1.4, "Shell" resource). Written here rather than
// taken from a library because each must end with its context, a fault's code decides what comes next, and a command must
// arrive whatever characters it holds.

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// envelopeSize is the largest message in bytes that every WinRM takes unasked (2008 R2; later ones take 500 KB).
	envelopeSize = 153600
	// stdinChunk is how much of standard input one message carries: it grows by a third in base64.
	stdinChunk = 100 << 10
	// operationTime is how long the server waits for output before it says that there is none yet.
	operationTime = 20 * time.Second
	// answerTime is how long an answer may take at all; a server that takes longer is gone.
	answerTime = operationTime + 25*time.Second
)

const (
	wsCreate  = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create"
	wsDelete  = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Delete"
	wsShell   = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	wsCommand = wsShell + "/Command"
	wsReceive = wsShell + "/Receive"
	wsSend    = wsShell + "/Send"
	wsSignal  = wsShell + "/Signal"
)

// wsman talks to one WinRM service.
type wsman struct {
	http           *http.Client
	url            string
	user, password string
}

// wsFault is a fault that the service answers with.
type wsFault struct {
	Status  int    // HTTP
	Subcode string // without prefix: TimedOut, InvalidSelectors, …
	Code    string // of Windows, e.g. 2150858793; may be empty
	Text    string
}

func (f *wsFault) Error() string {
	text := strings.Join(strings.Fields(f.Text), " ")
	if f.Code != "" {
		return fmt.Sprintf("WinRM says: %s (%s)", text, f.Code)
	}
	return "WinRM says: " + firstOf(text, f.Subcode, http.StatusText(f.Status))
}

// wsStatusError is an answer that is no WS-Management at all.
type wsStatusError struct {
	Status int
	Body   string
}

func (e *wsStatusError) Error() string {
	return fmt.Sprintf("HTTP status %d %s", e.Status, http.StatusText(e.Status))
}

// noOutputYet tells the fault by which the service ends a long wait for output.
func noOutputYet(err error) bool {
	var f *wsFault
	return errors.As(err, &f) && (f.Subcode == "TimedOut" || f.Code == "2150858793")
}

type wsReply struct {
	Body struct {
		Fault *struct {
			Subcode string `xml:"Code>Subcode>Value"`
			Reason  string `xml:"Reason>Text"`
			Detail  struct {
				Fault struct {
					Code    string `xml:"Code,attr"`
					Message struct {
						Text     string `xml:",chardata"`
						Provider string `xml:"ProviderFault>WSManFault>Message"`
					} `xml:"Message"`
				} `xml:"WSManFault"`
			} `xml:"Detail"`
		} `xml:"Fault"`
		Selectors []struct {
			Name string `xml:"Name,attr"`
			Text string `xml:",chardata"`
		} `xml:"ResourceCreated>ReferenceParameters>SelectorSet>Selector"`
		ShellID   string `xml:"Shell>ShellId"`
		CommandID string `xml:"CommandResponse>CommandId"`
		Receive   struct {
			Streams []struct {
				Name string `xml:"Name,attr"`
				Text string `xml:",chardata"`
			} `xml:"Stream"`
			State struct {
				State    string `xml:"State,attr"`
				ExitCode string `xml:"ExitCode"`
			} `xml:"CommandState"`
		} `xml:"ReceiveResponse"`
	} `xml:"Body"`
}

type wsOption struct{ name, value string }

// envelope writes a request. body is XML.
func (w *wsman) envelope(action, shell string, options []wsOption, body string) []byte {
	var b bytes.Buffer
	text := func(s string) string {
		var e bytes.Buffer
		xml.EscapeText(&e, []byte(s))
		return e.String()
	}
	fmt.Fprintf(&b, `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"`+
		` xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd" xmlns:rsp="%s"><s:Header>`, wsShell)
	fmt.Fprintf(&b, `<a:To>%s</a:To><a:ReplyTo><a:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>`, text(w.url))
	fmt.Fprintf(&b, `<w:MaxEnvelopeSize s:mustUnderstand="true">%d</w:MaxEnvelopeSize><a:MessageID>uuid:%s</a:MessageID>`, envelopeSize, newUUID())
	fmt.Fprintf(&b, `<w:Locale xml:lang="en-US" s:mustUnderstand="false"/><p:DataLocale xml:lang="en-US" s:mustUnderstand="false"/><w:OperationTimeout>PT%dS</w:OperationTimeout>`, int(operationTime.Seconds()))
	fmt.Fprintf(&b, `<w:ResourceURI s:mustUnderstand="true">%s/cmd</w:ResourceURI><a:Action s:mustUnderstand="true">%s</a:Action>`, wsShell, action)
	if shell != "" {
		fmt.Fprintf(&b, `<w:SelectorSet><w:Selector Name="ShellId">%s</w:Selector></w:SelectorSet>`, text(shell))
	}
	if len(options) > 0 {
		b.WriteString(`<w:OptionSet>`)
		for _, o := range options {
			fmt.Fprintf(&b, `<w:Option Name="%s">%s</w:Option>`, o.name, o.value)
		}
		b.WriteString(`</w:OptionSet>`)
	}
	fmt.Fprintf(&b, `</s:Header><s:Body>%s</s:Body></s:Envelope>`, body)
	return b.Bytes()
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ask sends a request. The error is a *wsFault, a *wsStatusError, or about the connection.
func (w *wsman) ask(ctx context.Context, envelope []byte) (*wsReply, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(envelope))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/soap+xml;charset=UTF-8")
	req.SetBasicAuth(w.user, w.password)
	var reached atomic.Bool
	req = req.WithContext(context.WithValue(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { reached.Store(true) },
	}), reachedKey{}, &reached))
	resp, err := w.http.Do(req)
	if err != nil && !reached.Load() {
		return nil, &dialFailure{err}
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	var r wsReply
	parseErr := xml.Unmarshal(text, &r)
	if parseErr == nil && r.Body.Fault != nil {
		f := r.Body.Fault
		_, subcode, found := strings.Cut(f.Subcode, ":")
		if !found {
			subcode = f.Subcode
		}
		return nil, &wsFault{Status: resp.StatusCode, Subcode: subcode, Code: f.Detail.Fault.Code,
			Text: firstOf(strings.TrimSpace(f.Detail.Fault.Message.Text), f.Detail.Fault.Message.Provider, f.Reason)}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &wsStatusError{resp.StatusCode, clip(string(text), 200)}
	}
	if parseErr != nil {
		return nil, fmt.Errorf("the answer is not WS-Management: %w", parseErr)
	}
	return &r, nil
}

// reachedKey is where a request's context holds an *atomic.Bool that the dialer sets when there is a connection.
type reachedKey struct{}

// openShell makes a shell with the console in UTF-8.
func (w *wsman) openShell(ctx context.Context) (string, error) {
	r, err := w.ask(ctx, w.envelope(wsCreate, "", []wsOption{{"WINRS_NOPROFILE", "FALSE"}, {"WINRS_CODEPAGE", "65001"}},
		`<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>`))
	if err != nil {
		return "", err
	}
	for _, s := range r.Body.Selectors {
		if s.Name == "ShellId" {
			return s.Text, nil
		}
	}
	if r.Body.ShellID == "" {
		return "", errors.New("WinRM made no shell, and gives no reason")
	}
	return r.Body.ShellID, nil
}

func (w *wsman) closeShell(ctx context.Context, shell string) error {
	_, err := w.ask(ctx, w.envelope(wsDelete, shell, nil, ""))
	return err
}

// start starts a command line with cmd.exe.
func (w *wsman) start(ctx context.Context, shell, line string) (command string, err error) {
	var escaped bytes.Buffer
	xml.EscapeText(&escaped, []byte(line))
	r, err := w.ask(ctx, w.envelope(wsCommand, shell, []wsOption{{"WINRS_CONSOLEMODE_STDIN", "TRUE"}, {"WINRS_SKIP_CMD_SHELL", "FALSE"}},
		`<rsp:CommandLine><rsp:Command>`+escaped.String()+`</rsp:Command></rsp:CommandLine>`))
	if err != nil {
		return "", err
	}
	if r.Body.CommandID == "" {
		return "", errors.New("WinRM started no command, and gives no reason")
	}
	return r.Body.CommandID, nil
}

func (w *wsman) send(ctx context.Context, shell, command string, data []byte, end bool) error {
	attr := ""
	if end {
		attr = ` End="true"`
	}
	_, err := w.ask(ctx, w.envelope(wsSend, shell, nil, fmt.Sprintf(`<rsp:Send><rsp:Stream Name="stdin" CommandId="%s"%s>%s</rsp:Stream></rsp:Send>`,
		command, attr, base64.StdEncoding.EncodeToString(data))))
	return err
}

// receive waits for output, writes it, and tells whether the command has ended.
func (w *wsman) receive(ctx context.Context, shell, command string, stdout, stderr io.Writer) (ended bool, exit int, err error) {
	r, err := w.ask(ctx, w.envelope(wsReceive, shell, nil, fmt.Sprintf(`<rsp:Receive><rsp:DesiredStream CommandId="%s">stdout stderr</rsp:DesiredStream></rsp:Receive>`, command)))
	if err != nil {
		return false, 0, err
	}
	for _, s := range r.Body.Receive.Streams {
		data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s.Text))
		if err != nil {
			return false, 0, fmt.Errorf("the output is not base64: %w", err)
		}
		if s.Name == "stderr" {
			stderr.Write(data)
		} else {
			stdout.Write(data)
		}
	}
	if !strings.HasSuffix(r.Body.Receive.State.State, "/CommandState/Done") {
		return false, 0, nil
	}
	code, err := strconv.ParseInt(strings.TrimSpace(r.Body.Receive.State.ExitCode), 10, 64)
	if err != nil && r.Body.Receive.State.ExitCode != "" {
		return true, 0, fmt.Errorf("the exit code is %q", r.Body.Receive.State.ExitCode)
	}
	return true, int(code), nil
}

// terminate ends a command.
func (w *wsman) terminate(ctx context.Context, shell, command string) error {
	_, err := w.ask(ctx, w.envelope(wsSignal, shell, nil, fmt.Sprintf(`<rsp:Signal CommandId="%s"><rsp:Code>%s/signal/terminate</rsp:Code></rsp:Signal>`, command, wsShell)))
	return err
}
