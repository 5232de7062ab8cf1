package ncloud

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/clock"
)

// ErrNotFound means that the API knows no such object. It answers most questions for one with an empty list.
var ErrNotFound = errors.New("not found")

// NotFoundError is ErrNotFound with the object's name.
type NotFoundError struct{ What string }

func (e *NotFoundError) Error() string {
	return e.What + ": not found (or not this account's, or in another region)"
}
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// APIError is a call that did not succeed: refused by the API, or without an answer to be understood.
type APIError struct {
	Action  string // "createServerInstances"
	Subject string // "server tfb-…"; may be empty

	HTTPStatus int    // 0: no answer
	Code       string // the API's code, business or gateway; may be empty
	Message    string // the API's words, or ours where it had none
	Gateway    bool   // the API gateway refused it; the service never saw it, unless it is a 5xx

	Transient bool // worth repeating later
	Throttled bool // too many requests
	Busy      bool // refused for now: the object is busy with another operation
	Uncertain bool // the call may have taken effect nevertheless

	KeySource  string        // where the keys came from; for authentication errors
	Skew       time.Duration // the time it was signed with minus the API's, when it is off by more than a minute
	retryAfter time.Duration
	unsent     bool  // no connection: certainly nothing happened
	ended      bool  // the caller's context ended: the network is not to blame
	Err        error // the transport's or parser's error, nil when the API refused
}

// Error says what was asked, of what, what came back and what to try. It never holds a key: the SDK's and the transport's
// errors name URLs and codes only.
func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString(e.Action)
	if e.Subject != "" {
		b.WriteString(" of " + e.Subject)
	}
	b.WriteString(": ")
	b.WriteString(e.reason())
	if hint := e.Hint(); hint != "" {
		b.WriteString("; " + hint)
	}
	return b.String()
}

func (e *APIError) reason() string {
	switch {
	case errors.Is(e.Err, context.DeadlineExceeded):
		return "no answer in time"
	case e.ended && e.HTTPStatus == 0:
		return "not done: " + e.Err.Error()
	case e.Err != nil && e.HTTPStatus == 0:
		return "cannot talk to the API: " + e.Err.Error()
	case e.Err != nil:
		return fmt.Sprintf("the API's answer (HTTP %d) cannot be understood: %v", e.HTTPStatus, e.Err)
	case e.Code == "":
		return fmt.Sprintf("the API answered HTTP %d: %s", e.HTTPStatus, e.Message)
	}
	return fmt.Sprintf("%s (HTTP %d, code %s)", e.Message, e.HTTPStatus, e.Code)
}

// Hint is what to try next, where we know it.
func (e *APIError) Hint() string {
	switch {
	case e.IsAuth() && e.Code == "210" || e.HTTPStatus == 403:
		return "the keys are right but this sub account may not do that: give it the permission for this action (Server, VPC Server), or subscribe to the service in the console" + e.keys()
	case e.IsAuth() && e.Skew != 0:
		return ClockOff(e.Skew) + ", which refuses more than 5 minutes: set it" + e.keys()
	case e.IsAuth():
		return "check access key, secret key and site (public, gov and fin have keys of their own), and this machine's clock, which may be off by at most 5 minutes" + e.keys()
	case e.Throttled && e.Code == "400":
		return "the account's API quota is used up: wait, or raise it in the console (API Gateway)"
	case e.Throttled:
		return "too many requests: other clients of this account may be busy; try again later"
	case e.Busy:
		return "another operation on it is still running; try again when it is done"
	}
	switch e.Code {
	case "1401", "1413", "10712":
		return "image, product or spec do not exist or do not fit each other in this region and zone; on KVM use server_image_number with server_spec_code"
	case "1100000":
		if strings.Contains(e.Message, ":") {
			return "" // it says which
		}
		return "the API calls a parameter invalid without saying which; a frequent cause is a number from another region or hypervisor"
	case "10102", "1015009":
		return "the account's limit is reached: delete what is not needed or ask for a higher limit"
	case "10300", "10405", "1001020":
		return "choose another name, or delete the one that has it"
	case "24073":
		return "take the public IP off the server first"
	case "24002":
		return "unmount the disk in the server first, or stop the server"
	case "24001":
		return "the private key is not that of the server's login key"
	}
	var badDate x509.CertificateInvalidError
	if errors.As(e.Err, &badDate) && badDate.Reason == x509.Expired {
		return "the API's certificate is not valid at this machine's time: check its clock, which says " + clock.Now().UTC().Format(time.DateTime) + " UTC"
	}
	switch {
	case e.unsent && !e.ended:
		return "check the network, proxy settings and NCLOUD_API_GW"
	case e.Uncertain:
		return "whether it took effect is not known"
	}
	return ""
}

func (e *APIError) keys() string {
	if e.KeySource == "" {
		return ""
	}
	return "; the keys came from " + e.KeySource
}

// Unwrap returns the transport's error.
func (e *APIError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrNotFound) true for the answers to unknown numbers.
func (e *APIError) Is(target error) bool {
	return target == ErrNotFound && slices.Contains(codesNotFound, e.Code) && !e.Gateway
}

// IsAuth tells whether the keys, or their permissions, were refused.
func (e *APIError) IsAuth() bool {
	return e.HTTPStatus == 401 || e.HTTPStatus == 403 && (e.Code == "230" || e.Code == "1103")
}

// Codes by what they mean to a caller. Sources: SDK test fixtures, the official provider's retry lists, public issues.
var (
	codesNotFound = []string{"1007000", "10406", "10713", "24109", "24120", "24121"}
	codesExists   = []string{"10300", "10405", "1001020"}
	// codesBusy: refused because of another running operation; the same call will do later.
	codesBusy = []string{"23003", "23006", "25013", "25017", "25033", "1001015", "1002035", "1003016", "1007009", "1011002", "1012005", "1017013", "1080101"}
	// codesState: the object is in the wrong state, perhaps only for now. Whoever knows the wanted state decides.
	codesState = []string{"25008", "25018", "25022", "25041", "28102", "1100031", "24073"}
	// codesLater: "please try your call again later", under 500 or 400; whether it took effect is not said.
	codesLater = []string{"1", "1000", "1300"}
)

// classify fills in what the status and code mean.
func (e *APIError) classify() {
	is := func(codes []string) bool { return !e.Gateway && slices.Contains(codes, e.Code) }
	switch {
	case e.HTTPStatus == 429:
		e.Transient, e.Throttled = true, true
	case is(codesBusy):
		e.Transient, e.Busy = true, true
	case is(codesLater), e.HTTPStatus >= 500, e.HTTPStatus == 408:
		e.Transient, e.Uncertain = true, true
	}
}

// IsNotFound tells whether the object does not exist.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// IsExists tells whether the name is taken.
func IsExists(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && !e.Gateway && slices.Contains(codesExists, e.Code)
}

// IsState tells whether the object was in the wrong state for the call, perhaps only for now.
func IsState(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && !e.Gateway && (e.Busy || slices.Contains(codesState, e.Code))
}

// IsTransient tells whether the same call may succeed later.
func IsTransient(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && e.Transient
}

// IsUnknownAction tells whether the API has no such action at all: not on this site, or not any more.
func IsUnknownAction(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && e.Gateway && e.HTTPStatus == 404
}

// IsAuth tells whether the keys, or their permissions, were refused.
func IsAuth(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && e.IsAuth()
}

// IsUncertain tells whether a failed write may have taken effect nevertheless.
func IsUncertain(err error) bool {
	e, ok := errors.AsType[*APIError](err)
	return ok && e.Uncertain
}
