// Package clock tells this machine's time of day. It may be wrong, and it may jump at any moment: set by NTP, after a sleep, in
// a restored VM. So nothing is waited for or measured by it (time.Since of a value kept in memory does not notice a jump), and
// it decides nothing that cannot be undone: where an age matters, the cloud's time is asked for (ncloud.Client.Time).
package clock

import "time"

// Now is the time of day, for what is written down. Tests set it before anything else runs.
var Now = func() time.Time { return time.Now().Round(0) }
