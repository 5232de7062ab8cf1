//go:build !unix

package localcloud

import (
	"os"
	"path/filepath"
)

// lockDir only opens the file: there is no flock here, and keeping two processes from one directory is up to the user.
func lockDir(dir, endpoint string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
}
