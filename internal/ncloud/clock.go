package ncloud

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/hmac"

	"github.com/tfbake/tfbake/internal/clock"
)

// Tolerance is how far the time that a call is signed with may be from the API's own; beyond it every call is refused.
const Tolerance = 5 * time.Minute

// cloudClock is what is known of the API's time, from the Date of its answers. Durations are in nanoseconds.
type cloudClock struct {
	ahead atomic.Int64 // this machine's time minus the API's, by the last answer
	taken atomic.Int64 // what is taken off this machine's time for signing
}

// heard notes what the API's clock says. Up to a minute counts as none: answers take their time.
func (k *cloudClock) heard(h http.Header) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		k.ahead.Store(int64(beyondMinute(clock.Now().Sub(date))))
	}
}

// signing is the time to sign a call with.
func (k *cloudClock) signing() time.Time { return clock.Now().Add(-time.Duration(k.taken.Load())) }

// correct makes the next calls be signed with the API's time, as its last answer told it. news tells whether that is a
// change. It is done only after a refusal: as long as this machine's time is accepted, a proxy's odd Date does no harm.
func (k *cloudClock) correct() (news bool) {
	ahead := k.ahead.Load()
	return beyondMinute(time.Duration(k.taken.Swap(ahead)-ahead)) != 0
}

func beyondMinute(d time.Duration) time.Duration {
	if d.Abs() > time.Minute {
		return d
	}
	return 0
}

// skew is how far a call was signed ahead of the API's time, when by more than a minute.
func skew(h http.Header, signed time.Time) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return beyondMinute(signed.Sub(date))
}

// stale tells whether a call was refused because of the time it was signed with. It did not happen then.
func (e *APIError) stale() bool {
	return e.HTTPStatus == http.StatusUnauthorized && e.Code != "210" && e.Skew != 0
}

// clockError is the reason for signing with another time than this machine's.
type clockError struct{ ahead time.Duration }

func (e *clockError) Error() string {
	if e.ahead == 0 {
		return "this machine's clock is right again: signing with it"
	}
	return ClockOff(e.ahead) + ": set it; signing with the cloud's time meanwhile"
}

// ClockOff says how far this machine's clock is ahead of the cloud's.
func ClockOff(ahead time.Duration) string {
	word := "ahead of"
	if ahead < 0 {
		word = "behind"
	}
	by := strings.TrimSuffix(ahead.Abs().Round(time.Minute).String(), "0s") // a Date has no fractions
	return fmt.Sprintf("this machine's clock is %s %s the cloud's", by, word)
}

// sign replaces the SDK's signature, which is of this machine's time, and notes the time it was signed with.
func (t *trip) sign(r *http.Request) error {
	t.signed = t.clock.signing()
	stamp := strconv.FormatInt(t.signed.UnixMilli(), 10)
	signature, err := hmac.NewSigner(t.keys.SecretKey, crypto.SHA256).Sign(r.Method, r.URL.String(), t.keys.AccessKey, stamp)
	if err != nil {
		return fmt.Errorf("sign the call: %w", err)
	}
	r.Header.Set("x-ncp-apigw-timestamp", stamp)
	r.Header.Set("x-ncp-apigw-signature-v1", signature)
	return nil
}

// Ahead is how far this machine's clock was ahead of the cloud's when it answered last, 0 for less than a minute.
func (c *Client) Ahead() time.Duration { return time.Duration(c.clock.ahead.Load()) }

// Now is the cloud's time, as far as its last answer tells: wrong if this machine's clock has jumped since.
func (c *Client) Now() time.Time { return clock.Now().Add(-c.Ahead()) }

// Time asks for the cloud's time. When it cannot be asked, it is what Now says.
func (c *Client) Time(ctx context.Context) time.Time {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	_, _ = c.VPC.GetRegionList(ctx) // every answer tells the time, a refusal too
	return c.Now()
}
