package terraform

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Error tells everything there is to tell: what was being done, what terraform said, in the words of the template where
// that is known, and what to do next.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("terraform " + e.Op)
	switch {
	case e.Killed:
		b.WriteString(": killed")
	case e.Canceled:
		b.WriteString(": interrupted")
	}
	if e.Err != nil && (len(e.Diagnostics) == 0 || e.Canceled || e.Killed) {
		b.WriteString(": " + strings.TrimSpace(e.Err.Error()))
	}
	for i, d := range e.Diagnostics {
		switch {
		case len(e.Diagnostics) == 1 && !e.Canceled && !e.Killed:
			b.WriteString(": ")
		case i == 0:
			b.WriteString(":\n  ")
		default:
			b.WriteString("\n  ")
		}
		b.WriteString(d.String())
	}
	if len(e.Diagnostics) == 0 && e.Output != "" {
		b.WriteString("\n  " + strings.ReplaceAll(e.Output, "\n", "\n  "))
	}
	if e.ErroredState != "" {
		b.WriteString("\nterraform could not save its state and left it in " + e.ErroredState + ": \"terraform state push errored.tfstate\" puts it back")
	}
	if e.CrashLog != "" {
		b.WriteString("\nterraform crashed; see " + e.CrashLog)
	}
	if e.Hint != "" {
		b.WriteString("\n" + e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// String is one line: the place in the template, the resource, what is wrong.
func (d Diagnostic) String() string {
	var parts []string
	if d.Place != "" {
		parts = append(parts, d.Place)
	}
	if m := resourceTypeIn.FindStringSubmatch(d.Address); m != nil {
		parts = append(parts, resourceName(resourceRef{Addr: d.Address, Type: m[1]}))
	} else if d.Address != "" {
		parts = append(parts, d.Address)
	}
	text := d.Text()
	if d.Place == "" && d.File != "" {
		text += fmt.Sprintf(" (%s line %d)", d.File, d.Line)
	}
	return strings.Join(append(parts, text), ": ")
}

// Text is summary and detail in one line, an answer of NCloud's API reduced to its code and message.
func (d Diagnostic) Text() string {
	raw := d.Detail
	for _, noise := range []string{"\n\nThis was checked by the validation rule", "\n\nTo see which modules are currently depending"} {
		raw, _, _ = strings.Cut(raw, noise)
	}
	summary, detail := apiAnswer(oneLine(d.Summary)), apiAnswer(oneLine(raw))
	switch {
	case detail == "", detail == summary:
		return summary
	case boring[summary]:
		return detail
	}
	return strings.TrimSuffix(summary, ".") + ": " + detail
}

// boring are summaries that add nothing to their detail.
var boring = map[string]bool{"Resource precondition failed": true, "Invalid value for variable": true}

var (
	resourceTypeIn = regexp.MustCompile(`(?:^|\.)(ncloud_\w+)\.`)
	// apiError is how the official provider prints an API answer: "Status: 400 Bad Request, Body: {…}".
	apiError = regexp.MustCompile(`Status: (\d+)[^,]*, Body: (\{.*\})`)
)

// apiAnswer rewrites the official provider's dump of an API answer as "NCloud says: message (code 1401, HTTP 400)".
func apiAnswer(s string) string {
	m := apiError.FindStringSubmatchIndex(s)
	if m == nil {
		return s
	}
	var body struct {
		Business struct {
			Code    any    `json:"returnCode"`
			Message string `json:"returnMessage"`
		} `json:"responseError"`
		Gateway struct {
			Code    any    `json:"errorCode"`
			Message string `json:"message"`
			Details string `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(s[m[4]:m[5]]), &body) != nil {
		return s
	}
	code, message := body.Business.Code, body.Business.Message
	if code == nil {
		code, message = body.Gateway.Code, strings.TrimSpace(body.Gateway.Message+" "+body.Gateway.Details)
	}
	if code == nil {
		return s
	}
	return s[:m[0]] + fmt.Sprintf("NCloud says: %s (code %v, HTTP %s)", oneLine(message), code, s[m[2]:m[3]]) + s[m[1]:]
}

// hint is what to do about errors whose cause is known.
func hint(diags []Diagnostic, output string, o Options) string {
	all := output
	for _, d := range diags {
		all += "\n" + d.Summary + "\n" + d.Detail
	}
	flat := oneLine(all)
	has := func(s string) bool { return strings.Contains(flat, s) }
	switch {
	case has("Failed to query available provider packages"), has("Failed to resolve provider packages"), has("Failed to install provider"):
		if o.Reattach != nil {
			return ""
		}
		return "the provider could not be fetched. Without a way to the registry, use -provider embedded, or a mirror named in the file of TF_CLI_CONFIG_FILE."
	case has("Error acquiring the state lock"):
		h := "another terraform works on this state."
		if m := lockID.FindStringSubmatch(flat); m != nil {
			h += " If it is dead: terraform force-unlock " + m[1]
		}
		return h
	case has("Unsupported Terraform Core version"):
		return "name a newer program with -terraform or TFBAKE_TERRAFORM."
	case has("Inconsistent dependency lock file"), has("Required plugins are not installed"), has("Backend initialization required"), has("Module not installed"):
		return "run terraform init in " + o.Dir + " first."
	case has("doesn't match any of the checksums"), has("does not match any of the checksums"):
		return "the provider is not the one .terraform.lock.hcl was written for; remove that file if the change is meant."
	case has("Authentication Failed"), has("authentication failed"):
		if o.Clock != nil {
			if wrong := o.Clock(); wrong != "" {
				return wrong + ", and calls signed with it are refused: set it."
			}
		}
		return "check NCLOUD_ACCESS_KEY, NCLOUD_SECRET_KEY, the site, and this machine's clock."
	}
	return ""
}

var lockID = regexp.MustCompile(`\bID:\s+([0-9a-f-]{8,})`)

// transient are the API answers that go away by themselves: throttling and gateway trouble (429, 5xx), and a resource that
// is busy with something else. Source: the official documentation's error table and the official provider's retries. "fail
// to get … instance, N doesn't exist" is how that provider words any unusable answer about something it has just made.
var transient = regexp.MustCompile(`(?i)code"?:? ?"?(1007009|1100031|1003016|1001015|1002035|1080101|23003|23006|25013|25017|25018|25022|25033|25041|1000|1300)\b` +
	`|Status: (429|500|502|503|504)\b|HTTP (429|500|502|503|504)\b|try your call again later|Endpoint (Error|Timeout)|Throttle Limited|Rate Limited|connection (reset|refused)|: EOF\b|Request cancelled|plugin did not respond|unexpected end of JSON input|i/o timeout|unexpected EOF|TLS handshake timeout` +
	`|fail to get [a-z ]+ instance, \S+ doesn't exist`)

// Transient tells whether every error is of a kind that trying again may cure. Apply and Destroy may be repeated: the
// state knows what is done.
func (e *Error) Transient() bool {
	if e.Canceled || e.Killed || len(e.Diagnostics) == 0 {
		return false
	}
	for _, d := range e.Diagnostics {
		if !transient.MatchString(oneLine(d.Summary + " " + d.Detail)) {
			return false
		}
	}
	return true
}
